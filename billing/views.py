"""The pages of one's own spend."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from billing import chart
from billing.access import may_read_reports
from billing.purse import purse
from billing.usage import recent_calls, this_month


@require_safe
@login_required
def usage(request: HttpRequest) -> HttpResponse:
    """Today and this month against the limit, by day and by model, and the calls behind it."""
    user, now = cast("User", request.user), timezone.now()
    before = request.GET.get("before", "")
    own, (month, today) = purse(user=user, now=now), this_month(user=user, now=now)
    by_day = [(day, [total.cost for total in by_model]) for day, by_model, _ in month.by_day(until=month.last)]
    context = {
        "today": today,
        "purse": own,
        "month": month,
        "models": [
            (model or _("no model"), total, _share(total.cost, month.total.cost)) for model, total in month.by_model()
        ],
        "forecast": month.forecast(today=today),
        "chart": chart.draw(
            days=by_day, names=[model or _("no model") for model in month.models], limit=own.day.standing.limit
        ),
        "days": month.by_day(until=today),
        "reads_reports": may_read_reports(user),
        "calls": recent_calls(user=user, before=int(before) if before.isdecimal() and len(before) < 19 else None),
    }
    with timezone.override(settings.BILLING_TIME_ZONE):
        return render(request, "billing/usage.html", context)


def _share(cost: int, whole: int) -> str:
    return f"{cost / whole:.2%}" if whole > 0 else ""
