"""What finance asks: the settled usage of some days by something, with its totals and what it is made of.

Every figure is daily spend plus the records that it does not count yet, corrections included, so that it
is the one that the admin, a user's own page and every export give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import dates
from accounts.errors import InvalidRequest
from accounts.models import User
from billing import money, people
from billing.models import DailySpend, MonthClosing, UsageRecord
from billing.selection import Selection
from billing.snapshot import snapshot
from billing.totals import GROUPINGS, Total, grouped, whole
from billing.usage import feature_name

PAGE = 100  # lines
MOST_LINES = 1000  # that a page may have
# What was put right is told apart by these; reversals and replacements belong together.
KINDS = {
    "corrections": (UsageRecord.Kind.REVERSAL, UsageRecord.Kind.REPLACEMENT),
    "adjustments": (UsageRecord.Kind.ADJUSTMENT,),
    "credits": (UsageRecord.Kind.CREDIT,),
    "write_offs": (UsageRecord.Kind.WRITE_OFF,),
}
_NOTHING = {"group": gettext_lazy("No group"), "model": gettext_lazy("No model"), "key": gettext_lazy("No key")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One value of what is grouped by. `corrected`: nano-dollars in it that are no calls'; `share`: of the cost."""

    value: Any
    label: str
    total: Total
    corrected: int
    share: float | None

    def as_json(self, group_by: str) -> dict[str, Any]:
        """The API's form of it."""
        value = self.value.isoformat() if isinstance(self.value, date) else self.value
        return {
            group_by: value,
            "label": self.label,
            **self.total.as_json(),
            "corrected_usd": money.to_json(self.corrected),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a total is made of: `calls`, or one of KINDS; `records` is 0 for calls, which nobody counts."""

    kind: str
    records: int
    total: Total


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A page of lines, and the totals over all of them."""

    selection: Selection
    group_by: str
    page: int
    lines: Sequence[Line]
    count: int
    users: int
    total: Total
    parts: Sequence[Part]
    more: bool

    def as_json(self) -> dict[str, Any]:
        """The API's form of it, without the addresses of other pages."""
        return {
            **self.selection.as_query(),
            "group_by": self.group_by,
            "count": self.count,
            "total": self.total.as_json(),
            "made_of": [{"kind": part.kind, "records": part.records, **part.total.as_json()} for part in self.parts],
            "results": [line.as_json(self.group_by) for line in self.lines],
        }


def report(*, selection: Selection, group_by: str, page: int = 1, size: int = PAGE) -> Report:
    """The lines of a page, days in order and anything else dearest first. Raises InvalidRequest.

    A fixed number of queries, from one snapshot, whatever there is.
    """
    if group_by not in GROUPINGS:
        raise InvalidRequest(
            _("There is no such grouping."),
            fields={"group_by": [_("One of %(names)s.") % {"names": ", ".join(GROUPINGS)}]},
        )
    if page < 1 or not 0 < size <= MOST_LINES:
        raise InvalidRequest(
            _("There is no such page."), fields={"page": [_("From 1; at most %(most)d lines.") % {"most": MOST_LINES}]}
        )
    column = GROUPINGS[group_by]
    order = column if group_by == "day" else f"SUM(cost) DESC, {column}"
    with snapshot():
        total, count, users = whole(selection, by=group_by)
        rows = grouped(selection, group_by, order=order, limit=size, offset=(page - 1) * size)
        parts = _parts(selection, total)
        corrected = _corrected(selection, column, [row[0] for row in rows]) if len(parts) > 1 else {}
        labels = _labels(group_by, [row[0] for row in rows])
    lines = [
        Line(
            value=value,
            label=labels[value],
            total=(of := Total.of(sums)),
            corrected=corrected.get(value, 0),
            share=of.cost / total.cost if total.cost > 0 else None,
        )
        for value, *sums in rows
    ]
    return Report(
        selection=selection, group_by=group_by, page=page, lines=lines, count=count, users=users, total=total,
        parts=parts, more=page * size < count,
    )  # fmt: skip


def _parts(selection: Selection, total: Total) -> list[Part]:
    """Calls, and each kind of what was put right that there is; together they are the total."""
    booked = selection.records().exclude(kind=UsageRecord.Kind.CALL).order_by()
    sums = {f"sum_{name}": Sum(name) for name in DailySpend.SUMS}
    by_kind: dict[str, Part] = {}
    rows: Any = booked.values("kind").annotate(records=Count("pk"), **sums)
    for row in rows:
        name = next(name for name, kinds in KINDS.items() if row["kind"] in kinds)
        found = Part(
            kind=name, records=row["records"], total=Total.of([row[f"sum_{name}"] for name in DailySpend.SUMS])
        )
        before = by_kind.get(name)
        if before is not None:
            found = Part(kind=name, records=before.records + found.records, total=before.total + found.total)
        by_kind[name] = found
    calls = total
    for part in by_kind.values():
        calls -= part.total
    return [Part(kind="calls", records=0, total=calls), *(by_kind[name] for name in KINDS if name in by_kind)]


def _corrected(selection: Selection, column: str, values: list[Any]) -> dict[Any, int]:
    booked = selection.records().exclude(kind=UsageRecord.Kind.CALL).order_by()
    rows = booked.filter(**{f"{column}__in": values}).values_list(column).annotate(Sum("cost"))
    return {value: int(cost) for value, cost in rows}


def _labels(group_by: str, values: list[Any]) -> dict[Any, str]:
    if group_by == "day":
        return {day: dates.day(day) for day in values}
    if group_by == "user":
        return {user.pk: people.said(user) for user in User.objects.filter(pk__in=values).only("name", "email")}
    names = {value: feature_name(value) if group_by == "feature" else value for value in values}
    return {value: name or str(_NOTHING.get(group_by) or _("None")) for value, name in names.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The cost of each day by the dearest values of something; the last of `names` is "other" where `other` is set."""

    names: Sequence[str]
    other: bool
    costs: dict[date, list[int]]


def by_day(*, selection: Selection, group_by: str, most: int, dearest: Sequence[Any] | None = None) -> Days:
    """Nano-dollars by day and by at most `most` values, the dearest ones, the rest together as "other".

    `dearest`: more than `most` of them in order, or all, where a report has just found them.
    """
    with snapshot():
        top = list(dearest or _dearest(selection, group_by, most + 1))[: most + 1]
        other = len(top) > most
        shown = top[: most - 1] if other else top
        costs: dict[date, list[int]] = {}
        for day, *sums in grouped(selection, "day"):
            costs[day] = [0] * len(shown) + ([Total.of(sums).cost] if other else [])
        for place, value in enumerate(shown):
            for day, *sums in grouped(_narrowed(selection, group_by, value), "day"):
                cost = Total.of(sums).cost
                costs[day][place] = cost
                if other:
                    costs[day][-1] -= cost
        labels = _labels(group_by, shown)
    return Days(names=[*(labels[value] for value in shown), *([_("other")] if other else [])], other=other, costs=costs)


def _dearest(selection: Selection, group_by: str, most: int) -> list[Any]:
    column = GROUPINGS[group_by]
    return [row[0] for row in grouped(selection, group_by, order=f"SUM(cost) DESC, {column}", limit=most)]


def _narrowed(selection: Selection, group_by: str, value: Any) -> Selection:
    return Selection(**{"first": selection.first, "last": selection.last, **selection.filters, group_by: value})


def estimated(selection: Selection) -> int:
    """How many calls of a selection were counted here, because the provider sent no usage."""
    found = selection.records().filter(measured=UsageRecord.Measured.ESTIMATED).aggregate(calls=Sum("calls"))
    return int(found["calls"] or 0)


def cost(selection: Selection) -> int:
    """What a selection comes to, in nano-dollars."""
    ((*sums,),) = grouped(selection)
    return Total.of(sums).cost


def closing(selection: Selection) -> MonthClosing | None:
    """The seal of the month that a selection without filters exactly is."""
    if selection.month is None or selection.filters:
        return None
    return MonthClosing.objects.filter(month=selection.month).exclude(closed_at=None).first()


def choices(selection: Selection) -> dict[str, list[str]]:
    """What a report of these days can be narrowed down to: groups, models, features."""
    days = Selection(first=selection.first, last=selection.last)
    return {name: sorted(row[0] for row in grouped(days, name) if row[0]) for name in ("group", "model", "feature")}
