"""Two at once, staged: one has a lock, and goes on once the other waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, models

LONGEST = 20  # seconds, on a machine that does other things too


def until_somebody_waits(*, count: int = 1) -> None:
    """For a lock that we have: so many, or more."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0] >= count:
                return
        time.sleep(0.01)
    pytest.fail(f"fewer than {count} wait")


@contextmanager
def nobody_can_read(model: type[models.Model]) -> Iterator[None]:
    """Another connection holds the table for itself, as a migration would: whoever reads it waits."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {model._meta.db_table} IN ACCESS EXCLUSIVE MODE")
            yield
            cursor.execute("ROLLBACK")
    finally:
        other.close()
