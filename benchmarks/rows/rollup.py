"""A month of a million records rolled up whole, beside the bare INSERT … SELECT … GROUP BY into a like table."""

from __future__ import annotations

import time
from datetime import date

import psycopg

from benchmarks import books, money, money_child
from benchmarks.figures import Row, median
from benchmarks.stage import Stage

RECORDS, USERS = 1_000_000, 1000
FIRST, LAST = date(2024, 10, 1), date(2024, 10, 31)
MOST = 3.0  # times the bare one


def measure(stage: Stage, *, rounds: int = 3) -> list[Row]:
    """The first time, when each record gets its mark, and then anew, in turn with the bare one."""
    with books.Archive() as archive:
        database = archive.database("month", stage.env)
        company = money.company(database, users=USERS)
        money.records(database, company, count=RECORDS, first=FIRST, days=(LAST - FIRST).days + 1)
        first = money_child.run(database, stage.env, "rebuild", str(FIRST), str(LAST))
        ours, bare = [], []
        for _ in range(rounds):
            bare.append(_bare(database))
            done = money_child.run(database, stage.env, "rebuild", str(FIRST), str(LAST))
            ours.append(done["seconds"])
            if done["found"] != RECORDS:
                raise RuntimeError(f"{done['found']} records were rolled up")
    figure, beside = median(ours), median(bare)
    return [
        Row(name="rollup", what=f"full roll-up of a month with {RECORDS:,} records", ours=figure, unit="s",
            bar=f"≤ {MOST:.0f} × bare", met=figure <= MOST * beside, bare=beside, bare_is="INSERT … SELECT … GROUP BY",
            detail={"first": first, "ours": ours, "bare": bare}),
        Row(name="rollup_first", what="the same where none was counted before: each record gets its mark",
            ours=first["seconds"], unit="s", bar="none, once in a record's life", met=True, bare=beside,
            bare_is="INSERT … SELECT … GROUP BY"),
    ]  # fmt: skip


def _bare(database: str) -> float:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare_spend (LIKE billing_dailyspend INCLUDING ALL)")
        began = time.monotonic()
        connection.execute(
            f"INSERT INTO bare_spend ({books.KEY}, {books.SUMS}) SELECT {books.KEY}, {books.SUMMED}"  # noqa: S608
            " FROM billing_usagerecord WHERE state = 'settled' AND spend_date BETWEEN %s AND %s"
            f" GROUP BY {books.KEY}",
            [FIRST, LAST],
        )
        seconds = time.monotonic() - began
        connection.execute("DROP TABLE bare_spend")
    return seconds
