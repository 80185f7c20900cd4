"""Closing a month, by a person of finance: what is closed, what stands in the way, and that it is for good."""

from __future__ import annotations

from datetime import date, datetime
from typing import cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import User
from billing import closing, days, reports
from billing.report_views import finance_only
from billing.selection import Selection
from billing.usage import last_of_month


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@finance_only
def close_month(request: HttpRequest, month: str) -> HttpResponse:
    """The month's figures and a form; closes it once somebody says that they have checked them.

    What stands in the way is said: to whoever looks, and with 409 to whoever would close it.
    """
    first = _first_day(month)
    selection = Selection(first=first, last=last_of_month(first))
    now = timezone.now()
    if request.method != "POST":
        return _page(request, selection, error="", now=now)
    if request.POST.get("checked") != "yes":
        error = closing.refusal(month=first, now=now) or _("Tick that you have checked the figures.")
        return _page(request, selection, error=error, now=now)
    try:
        closed = closing.close(month=first, by=cast("User", request.user), now=now)
    except closing.NotClosable as refusal:
        return _page(request, selection, error=refusal.message, now=now)
    said = _("%(month)s is closed. SHA-256 %(sha256)s") % {"month": closed, "sha256": closed.sha256}
    messages.success(request, said)
    return redirect(f"{reverse('reports')}?{urlencode(selection.as_query())}#months")


def _page(request: HttpRequest, selection: Selection, *, error: str, now: datetime) -> HttpResponse:
    """The month, closed or to be closed, and why it could not be."""
    closed = reports.closing(selection)
    obstacle = closing.refusal(month=selection.first, now=now)
    context = {
        "selection": selection,
        "report": reports.report(selection=selection, group_by="model"),
        "estimated": reports.estimated(selection),
        "error": error or ("" if closed else obstacle),
        "closable": not obstacle,
        "closed": closed,
        "reads_reports": True,
    }
    with timezone.override(settings.BILLING_TIME_ZONE):
        return render(request, "billing/close_month.html", context, status=409 if error else 200)


def _first_day(month: str) -> date:
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise Http404 from None
    if days.refusal(first):
        raise Http404
    return first
