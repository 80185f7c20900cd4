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
WORKS = {
    "rollup_first": (f"first roll-up of a month with {RECORDS:,} records, none counted before", ("roll_up",)),
    "rollup": ("the same month computed anew", ("rebuild", str(FIRST), str(LAST))),
}


def measure(stage: Stage, *, rounds: int = 3) -> list[Row]:
    """In turn: the bare one, the first roll-up, and the month anew."""
    with books.Archive() as archive:
        database = archive.database("month", stage.env)
        company = money.company(database, users=USERS)
        money.records(database, company, count=RECORDS, first=FIRST, days=(LAST - FIRST).days + 1)
        bare, ours = [], {name: list[float]() for name in WORKS}
        for _ in range(rounds):
            _uncount(database)
            bare.append(_bare(database))
            for name, (_, arguments) in WORKS.items():
                done = money_child.run(database, stage.env, *arguments)
                ours[name].append(done["seconds"])
                if done["found"] != RECORDS:
                    raise RuntimeError(f"{done['found']} records were rolled up")
    beside = median(bare)
    return [
        Row(name=name, what=what, ours=median(ours[name]), unit="s", bar=f"≤ {MOST:.0f} × bare",
            met=median(ours[name]) <= MOST * beside, bare=beside, bare_is="INSERT … SELECT … GROUP BY",
            detail={"ours": ours[name], "bare": bare})
        for name, (what, _) in WORKS.items()
    ]  # fmt: skip


def _uncount(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE billing_dailyspend, billing_dailytotal, billing_monthlyspend, billing_uncountedrecord"
        )
        connection.execute(money.NOTE)


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
