"""The roll-up, what it comes to by day, and what it has not counted yet. For reading, by superusers too."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import ReadOnlyAdmin
from billing.admin.dollars import column
from billing.admin.recent import RecentAdmin
from billing.admin.records import BookAdmin
from billing.models import DailySpend, DailyTotal, MonthlySpend, UncountedRecord

SUMS = (column("cost"), "calls", "input_tokens", "output_tokens")


@admin.register(DailySpend)
class DailySpendAdmin(BookAdmin, RecentAdmin):
    """The roll-up, day by day."""

    list_display = ("spend_date", "user", "model", "feature", *SUMS, "key_fingerprint")
    list_filter = ("spend_date",)
    # all of its unique key, so that the index gives this very order
    ordering = ("-spend_date", "-user_id", "-model", "-feature", "-key_fingerprint", "-group_name")


@admin.register(DailyTotal)
class DailyTotalAdmin(BookAdmin):
    """The same for all users together."""

    list_display = ("spend_date", "model", "feature", "group_name", *SUMS, "key_fingerprint")
    list_filter = ("spend_date",)
    search_fields = ("model__startswith", "group_name__startswith")
    search_help_text = _("The beginning of a model's or a group's name.")
    ordering = ("-spend_date", "-model", "-feature", "-key_fingerprint", "-group_name")


@admin.register(MonthlySpend)
class MonthlySpendAdmin(BookAdmin, RecentAdmin):
    """The same by month and user alone."""

    day_field = "month"
    narrow = ("user__", "month")
    list_display = ("month", "user", *SUMS)
    list_filter = ("month",)
    ordering = ("-month", "-user_id")


@admin.register(UncountedRecord)
class UncountedRecordAdmin(ReadOnlyAdmin):
    """What waits for the next roll-up."""

    list_display = ("number",)
    search_fields = ("record__id__exact",)
    search_help_text = _("The number of a usage record.")
    ordering = ("-pk",)

    @admin.display(description=_("record"), ordering="record")
    def number(self, uncounted: UncountedRecord) -> int:
        """The record, which need not be read for it."""
        return uncounted.record_id
