"""What a user has spent: the figures of their usage page, straight from the usage records."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q, Sum

from accounts.models import User
from billing.models import UsageRecord

RECENT_CALLS = 20
# A spend date is fixed by the time zone of its day; should the setting change since, this still finds it.
ZONE_SLACK = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Settled calls added up; `cost` in nano-dollars, the rest counts."""

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(Sums)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A user's settled calls of one calendar month, by day and by model."""

    first: date
    models: tuple[str, ...]
    cells: dict[tuple[date, str], Sums]

    @property
    def last(self) -> date:
        """The month's last day."""
        return self.first.replace(day=calendar.monthrange(self.first.year, self.first.month)[1])

    @property
    def total(self) -> Sums:
        """The whole month."""
        return _sum(self.cells.values())

    def by_model(self) -> list[tuple[str, Sums]]:
        """Each model's sums, the dearest first."""
        return [(model, _sum(sums for (_, of), sums in self.cells.items() if of == model)) for model in self.models]

    def by_day(self, *, until: date) -> list[tuple[date, list[Sums], Sums]]:
        """Each day to `until`, with the sums by model in the order of `models` and their total."""
        days = [self.first + timedelta(days=offset) for offset in range((min(until, self.last) - self.first).days + 1)]
        rows = [(day, [self.cells.get((day, model), Sums()) for model in self.models]) for day in days]
        return [(day, by_model, _sum(by_model)) for day, by_model in rows]


def month(*, user: User, day: date) -> Month:
    """The calendar month of a spend date; one query over that month's records of the user."""
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    rows = (
        UsageRecord.objects.filter(
            user=user,
            state=UsageRecord.State.SETTLED,
            spend_date__gte=first,
            spend_date__lt=following,
            # no other bounds, but these are in the index
            held_at__gte=_midnight(first) - ZONE_SLACK,
            held_at__lt=_midnight(following) + ZONE_SLACK,
        )
        .values("spend_date", "model")
        .annotate(
            calls=Count("pk"),
            inputs=Sum("input_tokens"),
            cached=Sum("cached_input_tokens"),
            outputs=Sum("output_tokens"),
            costs=Sum("cost"),
        )
        .order_by("spend_date", "model")
    )
    cells = {
        (row["spend_date"], row["model"]): Sums(
            calls=row["calls"],
            input_tokens=row["inputs"],
            cached_input_tokens=row["cached"],
            output_tokens=row["outputs"],
            cost=row["costs"],
        )
        for row in rows
    }
    costs: dict[str, int] = {}
    for (_, model), sums in cells.items():
        costs[model] = costs.get(model, 0) + sums.cost
    return Month(first=first, models=tuple(sorted(costs, key=lambda model: (-costs[model], model))), cells=cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """A page of a user's calls, newest first, and where the next one starts; None at the end."""

    rows: Sequence[Mapping[str, Any]]
    before: int | None


def recent_calls(*, user: User, before: int | None = None, count: int = RECENT_CALLS) -> Calls:
    """A user's calls, newest first, from below a record's id on; held ones included; one query, two when paging.

    Each carries the title of the conversation that it was made for, None once that is deleted.
    """
    older = Q()
    if before is not None:
        held_at = UsageRecord.objects.filter(user=user, pk=before).values_list("held_at", flat=True).first()
        older = Q(held_at__lt=held_at) | Q(held_at=held_at, pk__lt=before) if held_at else Q()
    rows = list(
        UsageRecord.objects.filter(older, user=user)
        .order_by("-held_at", "-pk")
        .values(
            "pk", "held_at", "feature", "model", "state", "outcome", "measured", "hold", "cost",
            "input_tokens", "cached_input_tokens", "output_tokens",
            title=F("message__conversation__title"), conversation=F("message__conversation_id"),
        )[: count + 1]
    )  # fmt: skip
    return Calls(rows=rows[:count], before=rows[count - 1]["pk"] if len(rows) > count else None)


def _sum(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        total = total + part
    return total


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=settings.BILLING_TIME_ZONE)
