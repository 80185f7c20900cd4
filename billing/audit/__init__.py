"""The proof of rule 3: periods, records, prices, corrections, closed months and daily spend agree to the nano-dollar.

The database adds up; only differences, and one chunk of records at a time, come to this process.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Count

from billing.audit import closings, corrections, costs, periods, spend
from billing.models import BudgetPeriod, DailySpend, MonthClosing, UncountedRecord, UsageRecord
from billing.snapshot import snapshot

ROOM = "64MB"  # for each step of a statement


@dataclass(kw_only=True)
class Audit:
    """What was looked at. `counts` is complete once `differences` is exhausted."""

    counts: dict[str, int] = field(default_factory=dict)

    def differences(self) -> Iterator[str]:
        """Every difference, as a sentence, from one snapshot of the database."""
        with snapshot():
            _with_room()
            self._count()
            for part in (periods, costs, corrections, spend, closings):
                yield from part.differences()

    def _count(self) -> None:
        self.counts["budget periods"] = BudgetPeriod.objects.count()
        self.counts["days, users and models in daily spend"] = DailySpend.objects.count()
        by_state = UsageRecord.objects.order_by().values_list("state").annotate(Count("pk"))
        self.counts.update({f"{state} usage records": count for state, count in by_state})
        self.counts["records waiting for the roll-up"] = UncountedRecord.objects.count()
        booked = UsageRecord.objects.exclude(kind=UsageRecord.Kind.CALL)
        self.counts["corrections, adjustments and credits among them"] = booked.count()
        self.counts["closed months"] = MonthClosing.objects.exclude(closed_at=None).count()


def _with_room() -> None:
    """Let the database keep the sums of many keys in memory, until the end of the transaction."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL work_mem = '{ROOM}'")
