"""Parquet: the columns of the CSV with their types; dollars are decimals of 38 digits, 18 behind the point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import IO, Any

from billing import money
from billing.exports import arrow
from billing.exports.arrow import Column
from billing.exports.format import LOOK_EVERY, Watch, Written, unwatched
from billing.rows import KINDS, UsageRow, usage_rows
from billing.selection import Selection

LABEL, SUFFIX = "Parquet", ".parquet"
CONTENT_TYPE = "application/vnd.apache.parquet"
_KINDS = {date: "date", datetime: "instant", int: "integer", str: "text"}
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def _column(name: str) -> Column:
    kind, nullable = KINDS[name]
    if name == "cost":
        return Column("cost_usd", "decimal", nullable=False)
    return Column(name, _KINDS[kind], nullable=nullable)


COLUMNS = [_column(name) for name in UsageRow._fields]


def write(*, selection: Selection, out: IO[bytes], watch: Watch = unwatched) -> Written:
    """Write the records, costs in dollars. Raises what `watch` raises."""
    written = Written()
    with usage_rows(selection) as rows:
        arrow.write(columns=COLUMNS, rows=_rows(rows, written, watch), out=out)
    return written


def _rows(rows: Iterable[UsageRow], written: Written, watch: Watch) -> Iterator[list[Any]]:
    for row in rows:
        written.add(calls=row.calls, cost=row.cost)
        values: list[Any] = list(row)
        values[0] = row.spend_date.isoformat()
        values[1] = (row.held_at - _EPOCH) // _MICROSECOND
        values[2] = (row.settled_at - _EPOCH) // _MICROSECOND
        values[-1] = money.to_json(row.cost)
        yield values
        if not written.records % LOOK_EVERY:
            watch(written.records)
