"""Usage records → daily spend, daily totals and monthly spend, each settled record exactly once.

Whatever settles a record also notes it as uncounted, by a trigger, in its own transaction. The roll-up adds
the noted records up and deletes their notes in one statement, which sees one instant: a record that is
committed later is simply there for the next run, a crash loses nothing, and the cost is that of the new
records, of which none is written. See docs/decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.db import connection, transaction

from billing import turns
from billing.models import DailySpend, DailyTotal, MonthlySpend
from billing.turns import Turn
from billing.usage import last_of_month

DAYS = 31  # computed anew in one transaction
Table = type[DailySpend | DailyTotal | MonthlySpend]
TABLES: tuple[Table, ...] = (DailySpend, DailyTotal, MonthlySpend)

_SUMMED = ", ".join(f"SUM({name}) AS {name}" for name in DailySpend.SUMS)
_SQLITE_MONTH = "date(spend_date, 'start of month')"
_NEW = "state = 'settled' AND id IN (SELECT record_id FROM billing_uncountedrecord)"
_OF_DAYS = "state = 'settled' AND spend_date BETWEEN %s AND %s"
_NOTES = "DELETE FROM billing_uncountedrecord"
_NOTES_OF_DAYS = f"{_NOTES} WHERE record_id IN (SELECT id FROM billing_usagerecord WHERE {_OF_DAYS})"  # noqa: S608


def roll_up() -> int:
    """Add all settled records that are not counted yet; returns how many. Two at once take turns."""
    with transaction.atomic(durable=True):
        return _roll_up()


def rebuild(*, first: date, last: date) -> int:
    """Compute the days from `first` to `last`, both included, anew from the records; returns how many records.

    At most so many DAYS at once, so that roll-ups come in between.
    """
    total = 0
    while first <= last:
        until = min(last, first + timedelta(days=DAYS - 1))
        with transaction.atomic(durable=True):
            total += _rebuild(first, until)
        first = until + timedelta(days=1)
    return total


def _roll_up() -> int:
    turns.take(Turn.ROLL_UP)  # not a lock on a table, in the way of those who settle, or of autovacuum
    return _add(_NEW, notes=_NOTES, parameters=())


def _rebuild(first: date, last: date) -> int:
    turns.take(Turn.ROLL_UP)
    DailySpend.objects.filter(spend_date__range=(first, last)).delete()
    records = _add(_OF_DAYS, notes=_NOTES_OF_DAYS, parameters=(first, last), tables=[DailySpend])
    _derive(first, last)
    return records


def _add(which: str, *, notes: str, parameters: Sequence[Any], tables: Sequence[Table] = TABLES) -> int:
    """Add records to tables of the roll-up, and delete their notes; returns how many records.

    All as of the same instant: PostgreSQL by one statement, SQLite because nobody else writes meanwhile.
    """
    key = ", ".join(DailySpend.KEY)
    grouped = f"SELECT {key}, {_SUMMED}, COUNT(*) AS records FROM billing_usagerecord WHERE {which} GROUP BY {key}"  # noqa: S608
    added = [_added(table, "grouped WHERE true") for table in tables]
    count = "SELECT COALESCE(SUM(records), 0) FROM grouped"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            changes = ", ".join(f"change{place} AS ({change})" for place, change in enumerate([*added, notes]))
            cursor.execute(f"WITH grouped AS MATERIALIZED ({grouped}), {changes} {count}", [*parameters, *parameters])
            return int(cursor.fetchone()[0])
        cursor.execute(f"WITH grouped AS ({grouped}) {count}", parameters)
        records = int(cursor.fetchone()[0])
        for add in added:
            cursor.execute(f"WITH grouped AS ({grouped}) {add}", parameters)
        cursor.execute(notes, parameters)
        return records


def _derive(first: date, last: date) -> None:
    """Make daily totals and monthly spend of some days anew, from daily spend, which nobody else changes now."""
    month, end = first.replace(day=1), last_of_month(last)
    DailyTotal.objects.filter(spend_date__range=(first, last)).delete()
    MonthlySpend.objects.filter(month__range=(month, end)).delete()
    spend = f"{DailySpend._meta.db_table} WHERE spend_date BETWEEN %s AND %s"
    with connection.cursor() as cursor:
        cursor.execute(_added(DailyTotal, spend), (first, last))
        cursor.execute(_added(MonthlySpend, spend), (month, end))


def _added(table: Table, source: str) -> str:
    """The statement that adds to a table what a source with the columns of daily spend comes to, in its key's order."""
    name, key, names = table._meta.db_table, ", ".join(table.KEY), ", ".join(DailySpend.SUMS)
    months = "date_trunc('month', spend_date)::date" if connection.vendor == "postgresql" else _SQLITE_MONTH
    places = ", ".join(f"{months} AS month" if column == "month" else column for column in table.KEY)
    together = f"{names} FROM {source}"
    if table is not DailySpend:
        together = f"{_SUMMED} FROM {source} GROUP BY {', '.join(map(str, range(1, len(table.KEY) + 1)))}"
    changes = ", ".join(f"{column} = {name}.{column} + EXCLUDED.{column}" for column in DailySpend.SUMS)
    return (
        f"INSERT INTO {name} ({key}, {names}) SELECT {places}, {together} ORDER BY {key}"
        f" ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )
