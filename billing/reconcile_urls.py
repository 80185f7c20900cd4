"""Addresses of reconciliation, below /reports/reconcile/."""

from django.urls import path

from billing import reconcile_views

urlpatterns = [
    path("", reconcile_views.begin, name="reconcile"),
    path("<int:pk>/", reconcile_views.show, name="reconciliation"),
    path("<int:pk>/book/", reconcile_views.book, name="reconciliation-book"),
    path("<int:pk>/report.<str:form>", reconcile_views.report, name="reconciliation-report"),
]
