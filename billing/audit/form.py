"""How two sides are compared, and differences said.

Every statement here reads whole tables and should find nothing. PostgreSQL does that with all its
workers, but not for a cursor, and plans badly for a limit; so what a statement finds is gathered on the
server first, and only where it is more than a chunk is it fetched through a cursor.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from billing import money

CHUNK = 2000  # rows fetched at once


def usd(nano: int) -> str:
    """Nano-dollars for a sentence, exact."""
    return f"-${money.to_json(-nano)}" if nano < 0 else f"${money.to_json(nano)}"


def unequal(
    first: QuerySet[Any, Any], second: QuerySet[Any, Any], *, key: Sequence[str], width: int
) -> Iterator[tuple[Any, ...]]:
    """The keys whose sums differ, each with the first side's sums and then the second's, in the key's order.

    Both give the key's columns and then `width` sums; a side that lacks a key counts as zero. The
    database compares, so that only differences come here.
    """
    yield from _found(*_both_sides(first, second, key=key, width=width))


def wrong(records: QuerySet[Any, Any]) -> Iterator[int]:
    """The primary keys of records that there should be none of, in order."""
    for (pk,) in _found(*records.order_by("pk").values_list("pk").query.sql_with_params()):
        yield pk


def _found(statement: str, parameters: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"WITH found AS MATERIALIZED ({statement}) SELECT * FROM found LIMIT {CHUNK}", parameters)  # noqa: S608
        rows = cursor.fetchall()
    if len(rows) < CHUNK:
        yield from rows
        return
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, parameters)
        while rows := cursor.fetchmany(CHUNK):
            yield from rows


def _both_sides(
    first: QuerySet[Any, Any], second: QuerySet[Any, Any], *, key: Sequence[str], width: int
) -> tuple[str, list[Any]]:
    names = ", ".join(connection.ops.quote_name(name) for name in key)
    named = ", ".join([names, *(f"v{number}" for number in range(width))])
    sides: list[str] = []
    parameters: list[Any] = []
    for queryset in (first, second):
        sql, values = queryset.order_by().query.sql_with_params()
        sides.append(sql)
        parameters += values
    sums = [
        f"SUM(CASE WHEN side = {side} THEN v{number} ELSE 0 END)" for side in (0, 1) for number in range(width)
    ]  # fmt: skip
    differs = " OR ".join(f"SUM(CASE WHEN side = 0 THEN v{number} ELSE -v{number} END) <> 0" for number in range(width))
    sql = (  # every name in it is a column of ours; values go as parameters
        f"WITH a ({named}) AS ({sides[0]}), b ({named}) AS ({sides[1]}), "  # noqa: S608
        f"both_sides AS (SELECT 0 AS side, a.* FROM a UNION ALL SELECT 1 AS side, b.* FROM b) "
        f"SELECT {names}, {', '.join(sums)} FROM both_sides GROUP BY {names} HAVING {differs} ORDER BY {names}"
    )
    return sql, parameters
