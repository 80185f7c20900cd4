"""The pages of one's own spend."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import User
from billing import chart
from billing.budgets import spend_date
from billing.purse import purse
from billing.usage import month, recent_calls


@require_safe
@login_required
def usage(request: HttpRequest) -> HttpResponse:
    """Today and this month against the limit, by day and by model, and the calls behind it."""
    user, now = cast("User", request.user), timezone.now()
    before = request.GET.get("before", "")
    today = spend_date(now)
    own, spend = purse(user=user, now=now), month(user=user, day=today)
    context = {
        "today": today,
        "purse": own,
        "month": spend,
        "chart": chart.of_month(month=spend, limit=own.day.standing.limit),
        "days": spend.by_day(until=today),
        "calls": recent_calls(user=user, before=int(before) if before.isdecimal() and len(before) < 19 else None),
    }
    with timezone.override(settings.BILLING_TIME_ZONE):
        return render(request, "billing/usage.html", context)
