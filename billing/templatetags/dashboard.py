"""The spend dashboard on the first page of the admin."""

from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone

from billing.overview import overview

register = template.Library()


@register.inclusion_tag("billing/admin_dashboard.html", takes_context=True)
def spend_dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """Shown to those who may see daily spend."""
    user = context["request"].user
    if not user.has_perm("billing.view_dailyspend"):
        return {"found": None}
    return {
        "found": overview(now=timezone.now()),
        "zone": settings.BILLING_TIME_ZONE,
        "sees_users": user.has_perm("accounts.view_user"),
    }
