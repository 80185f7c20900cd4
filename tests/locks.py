"""Two at once, staged: one has a lock, and goes on once the other waits for it."""

from __future__ import annotations

import time

import pytest
from django.db import connection

LONGEST = 20  # seconds, on a machine that does other things too


def until_somebody_waits() -> None:
    """For a lock that we have."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    pytest.fail("nobody waits")
