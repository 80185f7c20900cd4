"""RFC 4180, UTF-8, one line a settled usage record; the same bytes from every database."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO

from django.db import connection

from billing import money
from billing.exports import copying
from billing.exports.format import LOOK_EVERY, Watch, Written, unwatched
from billing.exports.safe import safe
from billing.rows import UsageRow, usage_rows
from billing.selection import Selection

LABEL, SUFFIX = "CSV", ".csv"
CONTENT_TYPE = "text/csv; charset=utf-8"
HEADER = (*(name for name in UsageRow._fields if name != "cost"), "cost_usd")
FLUSH = 256 * 1024  # characters kept before they are written


def write(*, selection: Selection, out: IO[bytes], watch: Watch = unwatched) -> Written:
    """Write the records, instants in UTC, costs in dollars. Raises what `watch` raises."""
    if connection.vendor == "postgresql":
        out.write(",".join(HEADER).encode() + b"\r\n")
        return copying.write(selection=selection, out=out, watch=watch)
    with usage_rows(selection) as rows:
        return write_rows(rows=rows, out=out, watch=watch)


def write_rows(*, rows: Iterable[UsageRow], out: IO[bytes], watch: Watch = unwatched) -> Written:
    """The same from rows in hand, for every database."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEADER)
    written = Written()
    for row in rows:
        writer.writerow([*map(_cell, row[:-1]), money.to_json(row.cost)])
        written.add(calls=row.calls, cost=row.cost)
        if buffer.tell() >= FLUSH:
            flush(buffer, out)
        if not written.records % LOOK_EVERY:
            watch(written.records)
    flush(buffer, out)
    return written


def flush(buffer: io.StringIO, out: IO[bytes]) -> None:
    """Write what is kept, and keep nothing."""
    out.write(buffer.getvalue().encode())
    buffer.seek(0)
    buffer.truncate()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value
