"""What finance and users ask: the settled calls of some days, and one's own spend."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, NamedTuple, cast

from django.db.models import Count, Sum

from accounts.models import User
from billing import budgets, money
from billing.models import DailySpend, UsageRecord
from billing.snapshot import snapshot

CHUNK = 2000  # rows fetched at once


class UsageRow(NamedTuple):
    """One settled usage record as a report shows it; `cost` in nano-dollars."""

    spend_date: date
    held_at: datetime
    settled_at: datetime
    record_id: int
    user_id: int
    user_name: str
    group_name: str
    feature: str
    model: str
    price_id: int
    price_source: str
    key_fingerprint: str
    provider_request_id: str
    outcome: str
    measured: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: int


_COLUMNS = {"record_id": "pk", "price_source": "price__source"}  # where the record has another name for it


def usage_rows(*, first: date, last: date) -> Iterator[UsageRow]:
    """The settled records of the spend dates from `first` to `last`, both included, oldest day first.

    Read from one snapshot, a chunk at a time, so memory does not grow with the number of rows.
    """
    columns = [_COLUMNS.get(name, name) for name in UsageRow._fields]
    settled = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED, spend_date__range=(first, last))
    with snapshot():
        yield from map(
            UsageRow._make, settled.order_by("spend_date", "pk").values_list(*columns).iterator(chunk_size=CHUNK)
        )


@dataclass(slots=True, kw_only=True)
class Total:
    """Some calls added up; `cost` in nano-dollars."""

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Count a row of sums in."""
        for total in fields(self):
            setattr(self, total.name, getattr(self, total.name) + int(row[f"sum_{total.name}"]))

    def as_json(self) -> dict[str, Any]:
        """The API's form of it."""
        return {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "cost_usd": money.to_json(self.cost),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnUsage:
    """A user's settled calls of today and of this month, the month by day and by model."""

    today: Total
    month: Total
    by_day: dict[date, Total]
    by_model: dict[str, Total]

    def as_json(self) -> dict[str, Any]:
        """The answer of GET /api/usage/."""
        return {
            "today": self.today.as_json(),
            "month": self.month.as_json(),
            "by_day": [{"date": day.isoformat(), **total.as_json()} for day, total in self.by_day.items()],
            "by_model": [{"model": model, **total.as_json()} for model, total in self.by_model.items()],
        }


def own_usage(*, user: User, now: datetime) -> OwnUsage:
    """What a user has spent, calls included that are not in daily spend yet.

    Days come newest first, models dearest first.
    """
    today = budgets.spend_date(now)
    usage = OwnUsage(today=Total(), month=Total(), by_day={}, by_model={})
    for row in _own_rows(user=user, first=today.replace(day=1)):
        if row["spend_date"] == today:
            usage.today.add(row)
        usage.month.add(row)
        usage.by_day.setdefault(row["spend_date"], Total()).add(row)
        usage.by_model.setdefault(row["model"], Total()).add(row)
    return OwnUsage(
        today=usage.today,
        month=usage.month,
        by_day=dict(sorted(usage.by_day.items(), reverse=True)),
        by_model=dict(sorted(usage.by_model.items(), key=lambda item: -item[1].cost)),
    )


def _own_rows(*, user: User, first: date) -> Iterable[dict[str, Any]]:
    """Daily spend and what waits for it, by day and model; one statement, so that no call is in both or neither."""
    sums = {f"sum_{name}": Sum(name) for name in DailySpend.SUMS}
    waiting = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED, rolled_up=False)
    daily = DailySpend.objects.values("spend_date", "model").annotate(sum_calls=Sum("calls"), **sums)
    fresh = waiting.values("spend_date", "model").annotate(sum_calls=Count("pk"), **sums)
    rows: Any = daily.filter(user=user, spend_date__gte=first).union(
        fresh.filter(user=user, spend_date__gte=first), all=True
    )
    return cast("Iterable[dict[str, Any]]", rows)
