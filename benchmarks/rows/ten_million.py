"""Ten million records of 100,000 users: the incremental roll-up, the audit, and the pages of staff.

BENCH_RECORDS makes it fewer, to try it; the first tenth is measured on the way.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks import books, money, money_admin, money_child
from benchmarks.figures import Row, median
from benchmarks.stage import Stage

RECORDS = int(os.environ.get("BENCH_RECORDS", "10000000"))
USERS = RECORDS // 100
DAYS = 200
NEW = 100  # records settled since the last roll-up
MOST_SECONDS, MOST_TIMES, MOST_MB = 1.0, 3.0, 50.0
BY_KEY = f"SELECT {books.KEY}, {books.SUMMED} FROM billing_usagerecord WHERE state = 'settled' GROUP BY {books.KEY}"  # noqa: S608
BY_PERIOD = (
    "SELECT h.period_id, SUM(r.cost) FILTER (WHERE r.state = 'settled'), SUM(r.hold) FILTER (WHERE r.state = 'held')"
    " FROM billing_hold h JOIN billing_usagerecord r ON r.id = h.record_id GROUP BY h.period_id"
)


def measure(stage: Stage) -> list[Row]:
    """A tenth, then all of them."""
    began = time.monotonic()

    def tell(words: str) -> None:
        print(f"  {time.monotonic() - began:5.0f} s {words.strip()}", flush=True)

    with books.Archive() as archive:
        database = archive.database("books", stage.env)
        today = datetime.now(UTC).date()
        company = books.company(database, users=USERS)
        tell(f"{USERS:,} users with their budgets")
        days = [DAYS // 10, DAYS - DAYS // 10]
        first = today - timedelta(days=DAYS - 1)
        figures = []
        for part, (count, length) in enumerate(zip((RECORDS // 10, RECORDS - RECORDS // 10), days, strict=True)):
            money.records(database, company, count=count, first=first, days=length, seed=part, counted=True, tell=tell)
            books.book(database, since=first, tell=tell)
            figures.append(_incremental(database, stage))
            first += timedelta(days=length)
        tell("rolled up 100 new ones; now the audit")
        return [*_rollups(figures), *_audit(database, stage), *money_admin.rows(database, records=RECORDS, users=USERS)]


def _incremental(database: str, stage: Stage) -> float:
    seconds = []
    for _ in range(5):
        books.more(database, NEW)
        done = money_child.run(database, stage.env, "roll_up")
        if done["found"] != NEW:
            raise RuntimeError(f"{done['found']} records were rolled up")
        seconds.append(done["seconds"])
    return median(seconds)


def _rollups(figures: list[float]) -> list[Row]:
    small, large = figures
    return [
        Row(name="rollup_new", what=f"roll-up of {NEW} new records beside {RECORDS:,}", ours=large, unit="s",
            bar=f"≤ {MOST_SECONDS:.0f} s, and the same with a tenth", met=max(figures) <= MOST_SECONDS, bare=small,
            bare_is=f"beside {RECORDS // 10:,}"),
    ]  # fmt: skip


def _audit(database: str, stage: Stage) -> list[Row]:
    """In turn: the bare sums, the audit, and the bare sums once more."""
    before = _sums(database)
    done: dict[str, Any] = money_child.run(database, stage.env, "audit")
    bare = (before + _sums(database)) / 2
    if done["found"]["differences"]:
        raise RuntimeError(f"the books do not agree: {done['found']['differences']}")
    return [
        Row(name="audit", what=f"audit_ledger over {RECORDS:,} records", ours=done["seconds"], unit="s",
            bar=f"≤ {MOST_TIMES:.0f} × the bare sums", met=done["seconds"] <= MOST_TIMES * bare, bare=bare,
            bare_is="sums by key and by period", detail=done),
        Row(name="audit_memory", what="memory that it takes", ours=max(0.1, done["grown_mb"]), unit="MB",
            bar=f"≤ {MOST_MB:.0f} MB", met=done["grown_mb"] <= MOST_MB),
    ]  # fmt: skip


def _sums(database: str) -> float:
    began = time.monotonic()
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in (BY_KEY, BY_PERIOD):
            connection.execute(f"SELECT COUNT(*) FROM ({statement}) AS sums")  # noqa: S608
    return time.monotonic() - began
