"""Limits, which staff set, and what is spent of them, which nobody edits."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from accounts.big_tables import BigTableAdmin, ReadOnlyAdmin
from billing import enforcement
from billing.admin.dollars import DollarsField, column
from billing.models import Budget, BudgetPeriod


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A limit in dollars."""

    limit = DollarsField(required=False, help_text="Dollars; empty: the default that the settings give.")

    class Meta:
        model = Budget
        fields = ("scope", "user", "group", "period", "limit")


@admin.register(Budget)
class BudgetAdmin(BigTableAdmin):
    """Budgets of users, groups and everyone. A new limit counts from the next call on."""

    form = BudgetForm
    list_display = ("__str__", "scope", "period", column("limit"))
    list_select_related = ("user", "group")
    list_filter = ("scope", "period", ("limit", admin.EmptyFieldListFilter))
    search_fields = ("user__email__startswith", "group__name")
    search_help_text = "The beginning of the user's e-mail address, or a group's name."
    autocomplete_fields = ("user",)
    ordering = ("pk",)

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        """Whose budget it is and for how long stays: its periods are booked."""
        return () if obj is None else ("scope", "user", "group", "period")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: its periods are booked. Empty the limit instead."""
        return False

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        """Save, and let the user feel it at once."""
        super().save_model(request, obj, form, change)
        if obj.user is not None:
            enforcement.enforce_budgets(now=timezone.now(), users=[obj.user])


@admin.register(BudgetPeriod)
class BudgetPeriodAdmin(ReadOnlyAdmin):
    """What is spent and held in each day and month."""

    list_display = ("__str__", "start", column("spent"), column("held"))
    list_select_related = ("budget__user", "budget__group")
    list_filter = ("budget__scope", "budget__period")
    search_fields = ("budget__user__email__startswith", "budget__group__name")
    search_help_text = "The beginning of the user's e-mail address, or a group's name."
    ordering = ("-pk",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Money in dollars."""
        return ["budget", "start", column("spent"), column("held")]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)
