"""RFC 4180, UTF-8, one line a settled usage record."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO

from billing import money
from billing.reports import Total, UsageRow

CONTENT_TYPE = "text/csv; charset=utf-8"
HEADER = (*(name for name in UsageRow._fields if name != "cost"), "cost_usd")
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")  # a spreadsheet computes what begins so, in full width too
_FLUSH = 256 * 1024  # characters kept before they are written


def write(*, rows: Iterable[UsageRow], out: IO[bytes]) -> Total:
    """Write the rows, instants in UTC, costs in dollars; returns how many calls they are and what they cost."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEADER)
    total = Total()
    for row in rows:
        writer.writerow([*map(_cell, row[:-1]), money.to_json(row.cost)])
        total.calls += 1
        total.cost += row.cost
        if buffer.tell() >= _FLUSH:
            _flush(buffer, out)
    _flush(buffer, out)
    return total


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in FORMULA_STARTS or value.lstrip()[:1] in FORMULA_STARTS else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value


def _flush(buffer: io.StringIO, out: IO[bytes]) -> None:
    out.write(buffer.getvalue().encode())
    buffer.seek(0)
    buffer.truncate()
