"""Settled usage added up by something: what the roll-up knows and what waits for it, in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import User
from billing import money
from billing.models import DailySpend
from billing.selection import Selection

# What figures can be grouped by, and where that is found.
GROUPINGS = {
    "day": "spend_date",
    "user": "user_id",
    "group": "group_name",
    "model": "model",
    "feature": "feature",
    "key": "key_fingerprint",
}


@dataclass(slots=True, kw_only=True)
class Total:
    """Settled usage added up; `cost` in nano-dollars. Everything is signed."""

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0

    @classmethod
    def of(cls, sums: Sequence[Any]) -> Total:
        """From sums in the order of DailySpend.SUMS; None is 0."""
        return cls(**{name: int(value or 0) for name, value in zip(DailySpend.SUMS, sums, strict=True)})

    def __add__(self, other: Total) -> Total:
        return Total(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(Total)})

    def __sub__(self, other: Total) -> Total:
        return Total(**{field.name: getattr(self, field.name) - getattr(other, field.name) for field in fields(Total)})

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


def grouped(
    selection: Selection, *by: str, order: str = "", limit: int | None = None, offset: int = 0
) -> list[tuple[Any, ...]]:
    """A row for each value of what it is grouped by (GROUPINGS): the values, then DailySpend.SUMS.

    `order` is SQL over the names of the values and sums. One statement, so that no record is in both or
    in neither of what the roll-up knows and what waits for it.
    """
    parts, parameters = _parts(selection, by)
    names = [GROUPINGS[name] for name in by]
    sums = ", ".join(f"SUM({name}) AS {name}" for name in DailySpend.SUMS)
    grouping = f" GROUP BY {', '.join(names)}" if names else ""
    ordering = f" ORDER BY {order}" if order else ""
    limiting = f" LIMIT {int(limit)} OFFSET {int(offset)}" if limit is not None else ""
    select = f"SELECT {', '.join([*names, sums])} FROM ({parts}) AS parts"  # noqa: S608
    rows = _fetch(select + grouping + ordering + limiting, parameters)
    if "day" not in by:
        return rows
    place = by.index("day")
    return [(*row[:place], _day(row[place]), *row[place + 1 :]) for row in rows]


def whole(selection: Selection, *, by: str) -> tuple[Total, int, int]:
    """Everything added up; how many values there are of what it is grouped by; how many users."""
    users = _users(selection)
    parts, parameters = _parts(selection, () if by == "user" else (by,))
    sums = ", ".join(f"SUM({name})" for name in DailySpend.SUMS)
    values = "0" if by == "user" else f"COUNT(DISTINCT {GROUPINGS[by]})"
    ((count, *found),) = _fetch(f"SELECT {values}, {sums} FROM ({parts}) AS parts", parameters)  # noqa: S608
    return Total.of(found), users if by == "user" else int(count), users


def _users(selection: Selection) -> int:
    """How many users a selection is about.

    By looking for each, which takes no longer for many days than for few; where something else narrows it down
    that would read most of their days in vain, so there all days are read once.
    """
    spend = selection.spend(["user"])
    if selection.filters.keys() <= {"user"}:
        counted: QuerySet[Any, Any] = User.objects.filter(Exists(spend.filter(user=OuterRef("pk")))).values("pk")
    else:
        counted = spend.values("user_id").distinct()
    waiting = selection.waiting().order_by().values("user_id")
    return int(counted.order_by().union(waiting).count())


def _parts(selection: Selection, by: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    """The statement with what the roll-up knows, and what it has not counted yet."""
    columns = [GROUPINGS[name] for name in by]
    statements, parameters = [], list[Any]()
    for source in (selection.spend(by), selection.waiting()):
        select, given = source.order_by().values_list(*columns, *DailySpend.SUMS).query.sql_with_params()
        statements.append(select)
        parameters.extend(given)
    return " UNION ALL ".join(statements), tuple(parameters)


def _day(value: date | str) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value  # SQLite has no dates


def _fetch(statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
