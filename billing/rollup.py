"""Usage records → daily spend, each settled record exactly once.

A record carries the mark `rolled_up`; its sums and its mark are written in one transaction. So a
late record is simply a new one, a crash loses nothing, and the cost is that of the new records.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from billing.models import DailySpend, UsageRecord

BATCH = 5000  # records in one transaction


def roll_up(*, limit: int = BATCH) -> int:
    """Add all settled records that are not counted yet; returns how many.

    At most `limit` records go into one transaction, and as many transactions as it takes run. Two at
    once share the work: each takes records that the other has not locked.
    """
    total = 0
    while count := _roll_up_batch(limit=limit):
        total += count
    return total


def rebuild(*, first: date, last: date) -> int:
    """Compute the days from `first` to `last`, both included, anew from the records; returns how many records."""
    return sum(_rebuild_day(first + timedelta(days=offset)) for offset in range((last - first).days + 1))


@transaction.atomic(durable=True)
def _roll_up_batch(*, limit: int) -> int:
    _lock_table("ROW EXCLUSIVE")
    waiting = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED, rolled_up=False).order_by("pk")
    if connection.features.has_select_for_update_skip_locked:
        waiting = waiting.select_for_update(skip_locked=True)
    claimed = UsageRecord.objects.filter(pk__in=list(waiting.values_list("pk", flat=True)[:limit]))
    _add(claimed)
    return claimed.update(rolled_up=True)


@transaction.atomic(durable=True)
def _rebuild_day(day: date) -> int:
    _lock_table("SHARE ROW EXCLUSIVE")
    DailySpend.objects.filter(spend_date=day).delete()
    settled = UsageRecord.objects.filter(spend_date=day, state=UsageRecord.State.SETTLED)
    settled.filter(rolled_up=False).update(rolled_up=True)
    counted = settled.filter(rolled_up=True)  # not one that was settled since the line above
    _add(counted)
    return counted.count()


def _lock_table(mode: str) -> None:
    """Let roll-ups run beside each other, but a rebuild alone.

    It is the first lock of both, so that they can't block each other half way. SQLite has one writer anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {DailySpend._meta.db_table} IN {mode} MODE")


def _add(records: QuerySet[UsageRecord]) -> None:
    """Add the records' sums to daily spend, in one statement and in the order of the key, so that none deadlock."""
    key: Sequence[str] = DailySpend.KEY
    sums = {f"sum_{name}": Sum(name) for name in DailySpend.SUMS}
    grouped = records.values(*key).annotate(**sums).order_by(*key)
    try:
        select, parameters = grouped.query.sql_with_params()
    except EmptyResultSet:
        return
    names = (*key, *DailySpend.SUMS)
    quote, table = connection.ops.quote_name, connection.ops.quote_name(DailySpend._meta.db_table)
    added = ", ".join(f"{quote(name)} = {table}.{quote(name)} + EXCLUDED.{quote(name)}" for name in DailySpend.SUMS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(map(quote, names))}) {select} "
            f"ON CONFLICT ({', '.join(map(quote, key))}) DO UPDATE SET {added}",
            parameters,
        )
