"""Daily spend: what the settled records that do not wait for the roll-up add up to, day by day and key by key."""

from collections.abc import Iterator

from django.db.models import F, Sum

from billing.audit.form import unequal, usd, wrong
from billing.models import DailySpend, UsageRecord


def differences() -> Iterator[str]:
    """Days and keys whose sums are not those of their records, and records that wait and are no spend."""
    key, names = DailySpend.KEY, DailySpend.SUMS
    counted = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED, uncounted=None)
    records = counted.values(*key).annotate(**{f"sum_{name}": Sum(name) for name in names})
    days = DailySpend.objects.values(*key).annotate(**{f"sum_{name}": F(name) for name in names})
    for row in unequal(records, days, key=key, width=len(names)):
        yield from _said(row[: len(key)], names, row[len(key) :])
    unsettled = UsageRecord.objects.exclude(uncounted=None).exclude(state=UsageRecord.State.SETTLED)
    for pk in wrong(unsettled):
        yield f"Usage record {pk} waits for the roll-up, but it is not settled."


def _said(key: tuple[object, ...], names: tuple[str, ...], sums: tuple[int, ...]) -> Iterator[str]:
    day, user, model, feature, fingerprint = key
    for name, record, daily in zip(names, sums[: len(names)], sums[len(names) :], strict=True):
        if record != daily:
            shown = usd if name == "cost" else str
            yield (
                f"Daily spend of {day}, user {user}, {model}, {feature}, key {fingerprint or 'unnamed'} "
                f"has {name} {shown(int(daily))}, its records add up to {shown(int(record))}."
            )
