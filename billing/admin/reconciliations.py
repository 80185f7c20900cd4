"""Comparisons with the provider's figures and what they proposed: for reading. They are made at /reports/."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.big_tables import ReadOnlyAdmin
from billing.admin.dollars import column
from billing.models import Proposal, Reconciliation


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    """What was compared, when, by whom."""

    list_display = ("first", "last", "started_at", "by_name")
    ordering = ("-pk",)


@admin.register(Proposal)
class ProposalAdmin(ReadOnlyAdmin):
    """What was proposed, and what of it was booked by whom."""

    list_display = ("day", "model", "key", "sentence", column("amount"), "state", "booked_by", "booked_at", "reason")
    list_select_related = ("booked_by",)
    list_filter = ("state", "act")
    ordering = ("-pk",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them, the amount in dollars."""
        names = [field.name for field in self.opts.fields]
        return [column(name) if name == "amount" else name for name in names]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)
