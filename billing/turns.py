"""Work that takes turns, by locks that lie on no row and go with the transaction.

SQLite has one writer at a time anyway.
"""

from enum import IntEnum

from django.db import connection


class Turn(IntEnum):
    """What takes turns: numbers that nothing else in the database takes an advisory lock by."""

    ROLL_UP = 7_254_130_911
    COMPARISON = 7_254_130_912
    # Whoever corrects shares it, whoever looks that nobody has and then books does not. After accounts, before periods.
    CORRECTION = 7_254_130_913
    PRICE_LIST = 7_254_130_914


def take(turn: Turn, *, shared: bool = False) -> None:
    """Wait for a turn, and have it to the end of the transaction; shared, beside others who share it."""
    if connection.vendor == "postgresql":
        kind = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {kind}(%s)", [turn.value])
