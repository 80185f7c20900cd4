"""The money endpoints, under /api/."""

from django.urls import path

from billing.api import reports, tokens, views

urlpatterns = [
    path("usage/", views.UsageView.as_view(), name="own-usage"),
    path("usage/export/", views.UsageExportView.as_view(), name="usage-export"),
    path("reports/usage/", reports.UsageReportView.as_view(), name="usage-report"),
    path("reports/focus-metadata/", reports.FocusMetadataView.as_view(), name="focus-metadata"),
    path("reports/runs/", reports.RunsView.as_view(), name="export-runs"),
    path("reports/runs/<id:run_id>/", reports.RunView.as_view(), name="export-run"),
    path("reports/runs/<id:run_id>/cancel/", reports.CancelRunView.as_view(), name="export-run-cancel"),
    path("reports/runs/<id:run_id>/file/", reports.RunFileView.as_view(), name="export-run-file"),
    path("tokens/", tokens.TokensView.as_view(), name="tokens"),
    path("tokens/<int:token_id>/", tokens.TokenView.as_view(), name="token"),
    path("budget/", views.BudgetView.as_view(), name="budget"),
]
