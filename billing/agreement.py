"""Whether every form of the same days comes to the same.

Each file is written, read again as a stranger would read it, and added up.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import IO
from xml.etree import ElementTree

from arro3.io import read_parquet

from billing import exports, money, reports, rows
from billing.exports.xlsx import CONTENT_TYPE as XLSX_TYPE
from billing.rows import UsageRow
from billing.selection import Selection
from billing.snapshot import snapshot
from billing.totals import GROUPINGS

_CELL = re.compile(r"([A-Z]+)\d+")
_SHEETS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one form says; `cost` in nano-dollars, `rows` None where it has none."""

    name: str
    cost: int
    rows: int | None = None
    sha256: str = ""


def totals(selection: Selection) -> list[Found]:
    """The records, each grouping of the report, and each file as it is read again, from one snapshot."""
    with snapshot():
        sums = rows.add_up(selection)
        found = [Found(name="usage records", cost=sums.cost, rows=sums.records)]
        for group_by in GROUPINGS:
            lines = list(_lines(selection, group_by))
            found.append(Found(name=f"report by {group_by}", cost=sum(lines), rows=len(lines)))
        for name, form in exports.FORMATS.items():
            with tempfile.TemporaryFile(prefix="chat-check-") as file:
                form.write(selection=selection, out=file)
                file.seek(0)
                costs = list(_reader(form)(file))
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            found.append(Found(name=f"{name} file", cost=sum(costs), rows=len(costs), sha256=sha256))
    return found


def _lines(selection: Selection, group_by: str) -> Iterator[int]:
    page, more = 1, True
    while more:
        found = reports.report(selection=selection, group_by=group_by, page=page, size=reports.MOST_LINES)
        yield from (line.total.cost for line in found.lines)
        page, more = page + 1, found.more


def _reader(form: exports.Format) -> Callable[[IO[bytes]], Iterator[int]]:
    if form.CONTENT_TYPE == XLSX_TYPE:
        return _of_xlsx
    return _of_csv if form.CONTENT_TYPE.startswith("text/csv") else _of_parquet


def _of_csv(file: IO[bytes]) -> Iterator[int]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        for row in csv.DictReader(text):
            yield money.to_nano(Decimal(row.get("cost_usd") or row["BilledCost"]))
    finally:
        text.detach()


def _of_parquet(file: IO[bytes]) -> Iterator[int]:
    for batch in read_parquet(file):
        name = "cost_usd" if "cost_usd" in batch.schema.names else "BilledCost"
        yield from (money.to_nano(Decimal(value)) for value in batch.column(name).to_pylist())


def _of_xlsx(file: IO[bytes]) -> Iterator[int]:
    """The last column of every sheet but for the header and the totals, straight from the XML."""
    last = len(UsageRow._fields)
    with zipfile.ZipFile(file) as book:
        for name in sorted(book.namelist()):
            if name.startswith("xl/worksheets/sheet"):
                with book.open(name) as sheet:
                    yield from _of_sheet(sheet, last)


def _of_sheet(sheet: IO[bytes], last: int) -> Iterator[int]:
    for _, row in ElementTree.iterparse(sheet):  # noqa: S314  # written a moment ago
        if row.tag != f"{_SHEETS}row":
            continue
        cells = [cell for cell in row if _place(cell.get("r", "")) in (1, last)]
        value = "".join(cells[-1].itertext()) if cells else ""
        is_data = len(cells) == 2 and cells[0].get("t") is None and row.get("r") != "1"
        if is_data:
            yield money.to_nano(round(Decimal(value), 9))
        row.clear()


def _place(reference: str) -> int:
    match = _CELL.match(reference)
    place = 0
    for letter in match.group(1) if match else "":
        place = place * 26 + ord(letter) - ord("A") + 1
    return place
