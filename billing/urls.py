"""Addresses of billing's pages."""

from django.urls import include, path

from billing import closing_views, report_views, token_views, views

urlpatterns = [
    path("usage/", views.usage, name="usage"),
    path("accounts/tokens/", token_views.tokens_page, name="account_tokens"),
    path("accounts/tokens/<int:token_id>/revoke/", token_views.revoke, name="account_token_revoke"),
    path("reports/", report_views.report, name="reports"),
    path("reports/reconcile/", include("billing.reconcile_urls")),
    path("reports/close/<str:month>/", closing_views.close_month, name="close-month"),
    path("reports/people/", report_views.people_called, name="report-people"),
    path("reports/download/", report_views.download, name="report-download"),
    path("reports/runs/", report_views.begin_run, name="report-runs"),
    path("reports/runs/<id:run_id>/", report_views.run_item, name="report-run"),
    path("reports/runs/<id:run_id>/cancel/", report_views.cancel_run, name="report-run-cancel"),
    path("reports/runs/<id:run_id>/file/", report_views.run_download, name="report-run-file"),
]
