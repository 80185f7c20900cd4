"""The books: usage records, their holds and daily spend. For reading, by superusers too."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.big_tables import ReadOnlyAdmin
from billing.admin.dollars import column
from billing.admin.recent import RecentAdmin
from billing.models import DailySpend, Hold, UsageRecord


class BookAdmin(RecentAdmin):
    """Shows every field, money in dollars."""

    money_fields: tuple[str, ...] = ("cost",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The model's own order."""
        return [column(field.name) if field.name in self.money_fields else field.name for field in self.opts.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)


class UnpricedFilter(admin.SimpleListFilter):
    """Records with tokens of a class that their price has no rate for."""

    title = "token classes"
    parameter_name = "unpriced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The one choice."""
        return [("yes", "some without a rate")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those records."""
        return queryset.exclude(unpriced_classes="") if self.value() == "yes" else queryset


@admin.register(UsageRecord)
class UsageRecordAdmin(BookAdmin):
    """Every call, and what corrects one: who, what for, which model, how many tokens, what it cost."""

    money_fields = ("hold", "cost")
    list_display = (
        "id", "held_at", "user", "kind", "model", column("cost"), column("hold"), "state", "outcome", "measured",
        "input_tokens", "output_tokens", "feature", "over_hold",
    )  # fmt: skip
    list_filter = ("kind", "state", "outcome", "measured", "over_hold", UnpricedFilter, "spend_date")
    ordering = ("-spend_date", "-pk")

    def get_ordering(self, request: HttpRequest) -> Any:
        """Of one user the order that their index gives."""
        return ("-held_at", "-pk") if "user__id__exact" in request.GET else super().get_ordering(request)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """Which budget periods a record's hold lies in."""

    list_display = ("record_id", "period")
    list_select_related = ("period__budget__user", "period__budget__group")
    search_fields = ("record__id__exact",)
    search_help_text = "The number of a usage record."
    ordering = ("-pk",)


@admin.register(DailySpend)
class DailySpendAdmin(BookAdmin):
    """The roll-up, day by day."""

    list_display = (
        "spend_date", "user", "model", "feature", "key_fingerprint", "calls", "input_tokens", "output_tokens",
        column("cost"),
    )  # fmt: skip
    list_filter = ("spend_date",)
    # all of its unique key, so that the index gives this very order
    ordering = ("-spend_date", "-user_id", "-model", "-feature", "-key_fingerprint")
