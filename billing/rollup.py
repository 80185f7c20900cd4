"""Usage records → daily spend, each settled record exactly once.

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

from billing.models import DailySpend

DAYS = 31  # computed anew in one transaction
_LOCK = 7_254_130_911  # any number that nothing else in the database takes an advisory lock by

_KEY, _SUMS = ", ".join(DailySpend.KEY), ", ".join(DailySpend.SUMS)
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
    _take_turns()
    return _add(_NEW, notes=_NOTES, parameters=())


def _rebuild(first: date, last: date) -> int:
    _take_turns()
    DailySpend.objects.filter(spend_date__range=(first, last)).delete()
    return _add(_OF_DAYS, notes=_NOTES_OF_DAYS, parameters=(first, last))


def _take_turns() -> None:
    """Let one roll-up or rebuild run at a time, until the end of the transaction. SQLite has one writer anyway.

    Not a lock on a table: that would be in the way of those who settle, or of autovacuum.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _add(which: str, *, notes: str, parameters: Sequence[Any]) -> int:
    """Add records to daily spend and delete their notes; returns how many records.

    Both as of the same instant: PostgreSQL by one statement, SQLite because nobody else writes meanwhile.
    """
    sums = ", ".join(f"SUM({name}) AS {name}" for name in DailySpend.SUMS)
    added = ", ".join(f"{name} = billing_dailyspend.{name} + EXCLUDED.{name}" for name in DailySpend.SUMS)
    grouped = f"SELECT {_KEY}, {sums}, COUNT(*) AS records FROM billing_usagerecord WHERE {which} GROUP BY {_KEY}"  # noqa: S608
    add = (
        f"INSERT INTO billing_dailyspend ({_KEY}, {_SUMS}) SELECT {_KEY}, {_SUMS} FROM grouped WHERE true"  # noqa: S608
        f" ORDER BY {_KEY} ON CONFLICT ({_KEY}) DO UPDATE SET {added}"
    )
    count = "SELECT COALESCE(SUM(records), 0) FROM grouped"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            parts = f"grouped AS MATERIALIZED ({grouped}), added AS ({add}), deleted AS ({notes})"
            cursor.execute(f"WITH {parts} {count}", [*parameters, *parameters])
            return int(cursor.fetchone()[0])
        cursor.execute(f"WITH grouped AS ({grouped}) {count}", parameters)
        records = int(cursor.fetchone()[0])
        cursor.execute(f"WITH grouped AS ({grouped}) {add}", parameters)
        cursor.execute(notes, parameters)
        return records
