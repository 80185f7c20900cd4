"""What a user has spent: the figures of their usage page and of its REST form."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing import budgets
from billing.models import UsageRecord
from billing.selection import Selection
from billing.totals import Total, grouped

RECENT_CALLS = 20
KIND_NAMES = {
    UsageRecord.Kind.REVERSAL.value: _("Correction: taken back"),
    UsageRecord.Kind.REPLACEMENT.value: _("Correction: the right figures"),
    UsageRecord.Kind.ADJUSTMENT.value: _("Adjustment"),
    UsageRecord.Kind.CREDIT.value: _("Credit"),
    UsageRecord.Kind.WRITE_OFF.value: _("Written off"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A user's settled usage of one calendar month, by day and by model, corrections included."""

    first: date
    models: tuple[str, ...]
    cells: dict[tuple[date, str], Total]

    @property
    def last(self) -> date:
        """The month's last day."""
        return last_of_month(self.first)

    @property
    def total(self) -> Total:
        """The whole month."""
        return _sum(self.cells.values())

    def of_day(self, day: date) -> Total:
        """One day of it."""
        return _sum(total for (of, _), total in self.cells.items() if of == day)

    def by_model(self) -> list[tuple[str, Total]]:
        """Each model's sums, the dearest first."""
        return [(model, _sum(total for (_, of), total in self.cells.items() if of == model)) for model in self.models]

    def by_day(self, *, until: date) -> list[tuple[date, list[Total], Total]]:
        """Each day to `until`, with the sums by model in the order of `models` and their total."""
        days = [self.first + timedelta(days=offset) for offset in range((min(until, self.last) - self.first).days + 1)]
        rows = [(day, [self.cells.get((day, model), Total()) for model in self.models]) for day in days]
        return [(day, by_model, _sum(by_model)) for day, by_model in rows]

    def forecast(self, *, today: date) -> int:
        """What the month comes to, in nano-dollars, if it goes on as until today; rounded up."""
        return -(-max(0, self.total.cost) * self.last.day // today.day)

    def as_json(self, *, today: date) -> dict[str, Any]:
        """The answer of GET /api/usage/: days come newest first, models dearest first."""
        days = sorted({day for day, _ in self.cells}, reverse=True)
        return {
            "today": self.of_day(today).as_json(),
            "month": self.total.as_json(),
            "by_day": [{"date": day.isoformat(), **self.of_day(day).as_json()} for day in days],
            "by_model": [{"model": model, **total.as_json()} for model, total in self.by_model()],
        }


def month(*, user: User, day: date) -> Month:
    """The calendar month of a spend date: daily spend and what waits for it, in one query."""
    first = day.replace(day=1)
    selection = Selection(first=first, last=last_of_month(first), user=user.pk)
    cells = {(of, model): Total.of(sums) for of, model, *sums in grouped(selection, "day", "model")}
    costs: dict[str, int] = {}
    for (_day, model), total in cells.items():
        costs[model] = costs.get(model, 0) + total.cost
    return Month(first=first, models=tuple(sorted(costs, key=lambda model: (-costs[model], model))), cells=cells)


def this_month(*, user: User, now: datetime) -> tuple[Month, date]:
    """The running month, and the running day."""
    today = budgets.spend_date(now)
    return month(user=user, day=today), today


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """A page of a user's calls, newest first, and where the next one starts; None at the end."""

    rows: Sequence[Mapping[str, Any]]
    before: int | None


def recent_calls(*, user: User, before: int | None = None, count: int = RECENT_CALLS) -> Calls:
    """A user's records, newest first, from below a record's id on; held ones included; one query, two when paging.

    Each carries the title of the conversation that it was made for, None once that is deleted.
    """
    older = Q()
    if before is not None:
        held_at = UsageRecord.objects.filter(user=user, pk=before).values_list("held_at", flat=True).first()
        older = Q(held_at__lt=held_at) | Q(held_at=held_at, pk__lt=before) if held_at else Q()
    found = (
        UsageRecord.objects.filter(older, user=user)
        .order_by("-held_at", "-pk")
        .values(
            "pk", "kind", "reason", "held_at", "feature", "model", "state", "outcome", "measured", "hold", "cost",
            "input_tokens", "cached_input_tokens", "output_tokens",
            title=Coalesce("message__conversation__title", "named_conversation__title"),
            conversation=Coalesce("message__conversation_id", "named_conversation__pk"),
            deleted=Coalesce("message__conversation__deleted_at", "named_conversation__deleted_at"),
        )[: count + 1]
    )  # fmt: skip
    rows: list[dict[str, Any]] = [dict(row) for row in found]
    for row in rows:
        row["kind_name"] = KIND_NAMES.get(row["kind"], "")
        row["feature_name"] = feature_name(row["feature"])
    return Calls(rows=rows[:count], before=rows[count - 1]["pk"] if len(rows) > count else None)


def feature_name(feature: str) -> str:
    """What people call a feature; one that has no other name, as records name it."""
    return str(dict(UsageRecord.Feature.choices).get(feature, feature))


def spent_by_token(tokens: Iterable[int]) -> dict[int, int]:
    """What the calls that personal tokens asked for have cost, in nano-dollars, by token; none for an unused one."""
    records = UsageRecord.objects.filter(api_token__in=list(tokens)).order_by()
    return dict(records.values_list("api_token").annotate(spent=Sum("cost")))


def last_of_month(day: date) -> date:
    """The last day of a day's calendar month."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def _sum(parts: Iterable[Total]) -> Total:
    total = Total()
    for part in parts:
        total = total + part
    return total
