"""Daily spend: what the settled records that do not wait for the roll-up add up to, and daily totals what it does."""

from collections.abc import Iterator
from typing import Any

from django.db.models import F, QuerySet, Sum
from django.db.models.functions import TruncMonth

from billing.audit.form import unequal, usd, wrong
from billing.models import DailySpend, DailyTotal, MonthlySpend, UsageRecord


def differences() -> Iterator[str]:
    """Days and keys whose sums are not those of their records, and records that wait and are no spend."""
    key, names = DailySpend.KEY, DailySpend.SUMS
    counted = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED, uncounted=None)
    records = counted.values(*key).annotate(**{f"sum_{name}": Sum(name) for name in names})
    days = DailySpend.objects.values(*key).annotate(**{f"sum_{name}": F(name) for name in names})
    for row in unequal(records, days, key=key, width=len(names)):
        day, user, model, feature, fingerprint, group = row[: len(key)]
        what = f"Daily spend of {day}, user {user}, {_rest(model, feature, fingerprint, group)}"
        yield from _said(what, "its records add up to", names, row[len(key) :])
    for row in _derived(DailyTotal, DailySpend.objects.all()):
        day, *rest = row[: len(DailyTotal.KEY)]
        what = f"Daily total of {day}, {_rest(*rest)}"
        yield from _said(what, "daily spend adds up to", names, row[len(DailyTotal.KEY) :])
    for month, user, *sums in _derived(MonthlySpend, DailySpend.objects.annotate(month=TruncMonth("spend_date"))):
        what = f"Monthly spend from {str(month)[:10]}, user {user}"  # PostgreSQL gives an instant, SQLite a text
        yield from _said(what, "daily spend adds up to", names, tuple(sums))
    unsettled = UsageRecord.objects.exclude(uncounted=None).exclude(state=UsageRecord.State.SETTLED)
    for pk in wrong(unsettled):
        yield f"Usage record {pk} waits for the roll-up, but it is not settled."


def _derived(table: type[DailyTotal | MonthlySpend], days: QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
    """Where a table is not what daily spend adds up to."""
    key, names = table.KEY, DailySpend.SUMS
    added = days.values(*key).annotate(**{f"sum_{name}": Sum(name) for name in names})
    there = table._default_manager.values(*key).annotate(**{f"sum_{name}": F(name) for name in names})
    yield from unequal(added, there, key=key, width=len(names))


def _said(what: str, beside: str, names: tuple[str, ...], sums: tuple[int, ...]) -> Iterator[str]:
    for name, right, here in zip(names, sums[: len(names)], sums[len(names) :], strict=True):
        if right != here:
            shown = usd if name == "cost" else str
            yield f"{what} has {name} {shown(int(here))}, {beside} {shown(int(right))}."


def _rest(model: object, feature: object, fingerprint: object, group: object) -> str:
    in_group = f", group {group}" if group else ""
    return f"{model}, {feature}, key {fingerprint or 'unnamed'}{in_group}"
