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

    Both give the key's columns and then `width` sums, once for each key; a side that lacks a key counts as zero,
    and NULL is a key that the other side lacks. The database compares, so that only differences come here.
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
    """A join, not a union that is added up again: that would put millions of rows in order twice."""
    names = ", ".join(connection.ops.quote_name(name) for name in key)
    named = ", ".join([names, *(f"v{number}" for number in range(width))])
    (a, of_first), (b, of_second) = (side.order_by().query.sql_with_params() for side in (first, second))
    sums = ", ".join(f"COALESCE({side}.v{number}, 0)" for side in "ab" for number in range(width))
    differs = " OR ".join(f"COALESCE(a.v{number}, 0) <> COALESCE(b.v{number}, 0)" for number in range(width))
    sql = (  # every name in it is a column of ours; values go as parameters
        f"WITH a ({named}) AS ({a}), b ({named}) AS ({b}) "  # noqa: S608
        f"SELECT {names}, {sums} FROM a FULL JOIN b USING ({names}) WHERE {differs} ORDER BY {names}"
    )
    return sql, [*of_first, *of_second]
