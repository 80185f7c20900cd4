"""A hold and its settling as one SQL statement each: the least that a database can be asked for them."""

from __future__ import annotations

import asyncio
import itertools
import time

import psycopg

_TABLES = """
CREATE TABLE IF NOT EXISTS bare_period (
    id int PRIMARY KEY, "limit" bigint NOT NULL, spent bigint NOT NULL DEFAULT 0, held bigint NOT NULL DEFAULT 0,
    CHECK (spent + held <= "limit")
);
CREATE TABLE IF NOT EXISTS bare_record (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, period int NOT NULL REFERENCES bare_period,
    hold bigint NOT NULL, cost bigint NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'held',
    held_at timestamptz NOT NULL DEFAULT now(), settled_at timestamptz
);
TRUNCATE bare_period, bare_record;
INSERT INTO bare_period (id, "limit") SELECT id, 1000000000000000 FROM generate_series(0, 99) AS id;
"""
_HOLD = """
WITH taken AS (
    UPDATE bare_period SET held = held + %(hold)s
    WHERE id = %(period)s AND spent + held + %(hold)s <= "limit" RETURNING id
) INSERT INTO bare_record (period, hold) SELECT id, %(hold)s FROM taken RETURNING id
"""
_SETTLE = """
WITH ended AS (
    UPDATE bare_record SET state = 'settled', cost = %(cost)s, settled_at = now()
    WHERE id = %(id)s AND state = 'held' RETURNING period, hold
) UPDATE bare_period SET held = held - ended.hold, spent = spent + %(cost)s
FROM ended WHERE bare_period.id = ended.period
"""


async def pairs_per_second(database: str, *, workers: int, users: int, seconds: float) -> float:
    """Pairs that so many connections get done in a second, each going round so many budgets."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                await connection.execute(statement)
    done = itertools.count()
    until = time.monotonic() + seconds

    async def work(first: int) -> None:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
            period = first
            while time.monotonic() < until:
                cursor = await connection.execute(_HOLD, {"hold": 600_000, "period": period % users})
                row = await cursor.fetchone()
                assert row is not None
                await connection.execute(_SETTLE, {"cost": 150_000, "id": row[0]})
                next(done)
                period += workers

    begun = time.monotonic()
    await asyncio.gather(*(work(number) for number in range(workers)))
    return next(done) / (time.monotonic() - begun)
