"""A company's usage records, made by COPY: the same ones for the same seed, as many as are asked for."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import psycopg

from benchmarks.bulk import bulk

SEED = 1
POOL = 4096  # different calls; each record is one of them at another time by another user
BLOCK = 10_000  # lines sent at once
TOLD = 500_000  # after so many records it is said how far it is
SITTING = 8  # calls in a row by the same user
MODELS = ("gpt-4o-mini", "gpt-4o")
FEATURES = ("chat",) * 9 + ("title",)
COLUMNS = (
    "kind", "calls", "reason", "user_id", "user_name", "group_name", "feature", "model", "price_id", "key_fingerprint",
    "provider_request_id", "spend_date", "held_at", "settled_at", "state", "outcome", "measured", "input_bound",
    "output_cap", "hold", "cost", "over_hold", "input_tokens", "cached_input_tokens", "cache_write_tokens",
    "output_tokens", "reasoning_tokens", "unpriced_classes",
)  # fmt: skip
# What the trigger does, which is off while tables are filled.
NOTE = (
    "INSERT INTO billing_uncountedrecord SELECT id FROM billing_usagerecord r WHERE NOT EXISTS"
    " (SELECT 1 FROM billing_dailyspend d WHERE d.spend_date = r.spend_date)"
    " ON CONFLICT DO NOTHING"  # what other rows have settled is noted already
)


@dataclass(frozen=True, slots=True)
class Company:
    """Who has spent: users by id, in the order of making."""

    users: list[int]


def company(database: str, *, users: int, prefix: str = "spender") -> Company:
    """New users, made by COPY."""
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        with cursor.copy(
            "COPY accounts_user (password, email, name, is_staff, is_superuser, is_active, joined_at) FROM STDIN"
        ) as lines:
            for number in range(users):
                lines.write(f"!\t{prefix}-{number}@example.com\tSpender {number}\tf\tf\tt\t2026-01-01 00:00:00+00\n")
        cursor.execute("SELECT id FROM accounts_user WHERE email LIKE %s ORDER BY id", [f"{prefix}-%"])
        return Company([row[0] for row in cursor.fetchall()])


def records(
    database: str, of: Company, *, count: int, first: date, days: int, seed: int = SEED, counted: bool = False,
    tell: Callable[[str], None] = print,
) -> int:  # fmt: skip
    """So many settled calls, spread over days from `first` on in order; returns their cost, nano-dollars.

    They wait for the roll-up, unless they are `counted` by what comes next.
    """
    chance = random.Random(seed)  # noqa: S311
    total = 0
    with psycopg.connect(database, autocommit=True) as connection:
        pool, costs = _pool(chance, _prices(connection))
        with bulk(connection, "billing_usagerecord"), connection.cursor() as cursor:
            with cursor.copy(f"COPY billing_usagerecord ({', '.join(COLUMNS)}) FROM STDIN") as lines:
                block = io.StringIO()
                for number, (who, which, day, at) in enumerate(_moments(chance, of, count, first, days), start=1):
                    head, tail = pool[which]
                    called = f"call\t1\t\t{who}\tSpender {who}\tGroup {who % 7}\t{head}req-{number}"
                    block.write(f"{called}\t{day}\t{at}\t{at}\t{tail}")
                    total += costs[which]
                    if not number % BLOCK:
                        lines.write(block.getvalue())
                        block = io.StringIO()
                    if not number % TOLD:
                        tell(f"  {number:,} of {count:,} records")
                lines.write(block.getvalue())
            tell("  their indexes")
        if not counted:
            connection.execute(NOTE)
        connection.execute("VACUUM ANALYZE billing_usagerecord")
    return total


def _prices(connection: psycopg.Connection) -> list[tuple[str, int, int, int, int]]:
    return connection.execute(
        "SELECT DISTINCT ON (model) model, id, input_price, cached_input_price, output_price FROM billing_price"
        " WHERE model = ANY(%s) ORDER BY model, effective_from DESC",
        [list(MODELS)],
    ).fetchall()


def _pool(
    chance: random.Random, prices: list[tuple[str, int, int, int, int]]
) -> tuple[list[tuple[str, str]], list[int]]:
    """The lines of POOL different calls, before and after what differs, and their costs."""
    from billing.money import divide_half_even

    pool, costs = [], list[int]()
    for _ in range(POOL):
        model, price_id, plain, cached_rate, output_rate = chance.choice(prices)
        given, output = chance.randrange(20, 4000), chance.randrange(1, 1000)
        cached = chance.randrange(given) if chance.random() < 0.3 else 0
        cost = divide_half_even((given - cached) * plain + cached * cached_rate + output * output_rate, 1_000_000)
        measured = "estimated" if chance.random() < 0.003 else "provider"
        head = f"{chance.choice(FEATURES)}\t{model}\t{price_id}\t0123456789ab\t"
        tail = f"settled\tcomplete\t{measured}\t{given}\t1000\t{cost}\t{cost}\tf\t{given}\t{cached}\t0\t{output}\t0\t\n"
        pool.append((head, tail))
        costs.append(cost)
    return pool, costs


def _moments(
    chance: random.Random, of: Company, count: int, first: date, days: int
) -> Iterator[tuple[int, int, date, str]]:
    """Who, which of the pool, on which day, when: users come for SITTING calls each time."""
    users, pick = of.users, chance.random
    for offset in range(days):
        day = first + timedelta(days=offset)
        midnight = datetime.combine(day, time.min, tzinfo=UTC)
        share = count * (offset + 1) // days - count * offset // days
        who, at = users[0], ""
        for number in range(share):
            if not number % SITTING:
                who = users[int(pick() * len(users))]
                at = (midnight + timedelta(microseconds=86_400_000_000 * number // share)).isoformat()
            yield who, int(pick() * POOL), day, at
