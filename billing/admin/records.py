"""The books: usage records, their holds and daily spend. For reading, by superusers too."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.big_tables import ReadOnlyAdmin
from billing.admin.dollars import column
from billing.models import DailySpend, Hold, UsageRecord

USERS_ADDRESS = "The beginning of the user's e-mail address."


class BookAdmin(ReadOnlyAdmin):
    """Shows every field, money in dollars."""

    money_fields: tuple[str, ...] = ("cost",)
    search_fields = ("user__email__startswith",)
    search_help_text = USERS_ADDRESS
    list_select_related = ("user",)
    ordering = ("-pk",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The model's own order."""
        return [column(field.name) if field.name in self.money_fields else field.name for field in self.opts.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)


@admin.register(UsageRecord)
class UsageRecordAdmin(BookAdmin):
    """Every call: who, what for, which model, how many tokens, what it cost."""

    money_fields = ("hold", "cost")
    list_display = (
        "id", "held_at", "user", "feature", "model", "state", "outcome", "measured", "input_tokens", "output_tokens",
        column("hold"), column("cost"), "over_hold",
    )  # fmt: skip
    list_filter = ("state", "outcome", "measured", "over_hold", "spend_date")


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
