"""A workbook: real dates and numbers, a header that stays in view, totals at the end, as many sheets as it takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import IO, Any

import xlsxwriter
from django.utils import translation

from billing import money
from billing.exports.format import LOOK_EVERY, Watch, Written, unwatched
from billing.rows import KINDS, UsageRow, usage_rows
from billing.selection import Selection

LABEL, SUFFIX = "XLSX", ".xlsx"
CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHEET_ROWS = 1_048_576  # Excel's limit, header and totals included
DIGITS = 15  # that a spreadsheet's number keeps
MONEY = "0.00#######"
WIDTHS = {date: 11, datetime: 21, str: 16, int: 12}
UTC_EPOCH, EXCEL_EPOCH = datetime(1970, 1, 1, tzinfo=UTC), date(1899, 12, 30)
DAYS_TO_UNIX = (date(1970, 1, 1) - EXCEL_EPOCH).days
HEADER = tuple(
    {"held_at": "held_at_utc", "settled_at": "settled_at_utc", "cost": "cost_usd"}.get(name, name)
    for name in UsageRow._fields
)
TOTALS = [name for name in UsageRow._fields if name == "calls" or name.endswith("_tokens")]
_COST = UsageRow._fields.index("cost")


def write(*, selection: Selection, out: IO[bytes], watch: Watch = unwatched) -> Written:
    """Write the records, instants in UTC, costs in dollars. Raises what `watch` raises."""
    with tempfile.TemporaryDirectory(prefix="chat-xlsx-") as folder:
        options = {"constant_memory": True, "tmpdir": folder, "strings_to_formulas": False, "strings_to_urls": False}
        book = xlsxwriter.Workbook(out, options)
        # Not the moment of writing: the same records then make the same bytes, and a SHA-256 tells that they do.
        written_at = datetime.combine(selection.last, time())
        with translation.override("en"):  # exports are in one language, whoever asks for them
            book.set_properties({"title": f"Usage, {selection.label}", "created": written_at})
        try:
            with usage_rows(selection) as rows:
                return _Sheets(book).write(rows, watch)
        finally:
            book.close()


class _Sheets:
    """The sheets of a book, filled one after the other."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.bold = book.add_format({"bold": True, "bottom": 1})
        self.total = book.add_format({"bold": True, "top": 1})
        self.total_money = book.add_format({"bold": True, "top": 1, "num_format": MONEY})
        self.money = book.add_format({"num_format": MONEY})
        self.day = book.add_format({"num_format": "yyyy-mm-dd"})
        self.instant = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})
        self.sums = dict.fromkeys(TOTALS, 0)
        self.written = Written()
        self.count = 0
        self._begin()

    def write(self, rows: Iterable[UsageRow], watch: Watch) -> Written:
        put = self._puts()
        sums, written = self.sums, self.written
        for row in rows:
            if self.line == SHEET_ROWS - 1:  # the last line is kept for the totals
                self._begin()
            sheet, line = self.sheet, self.line
            for place, value in enumerate(row):
                if value is not None and value != "":
                    put[place](sheet, line, place, value)
            self.line += 1
            written.add(calls=row.calls, cost=row.cost)
            for name in TOTALS:
                sums[name] += getattr(row, name)
            if not written.records % LOOK_EVERY:
                watch(written.records)
        self._end()
        return written

    def _begin(self) -> None:
        self.count += 1
        self.sheet = self.book.add_worksheet("Usage" if self.count == 1 else f"Usage {self.count}")
        self.sheet.freeze_panes(1, 0)
        for place, name in enumerate(UsageRow._fields):
            self.sheet.set_column(place, place, WIDTHS[KINDS[name][0]])
        self.sheet.write_row(0, 0, HEADER, self.bold)
        self.line = 1

    def _end(self) -> None:
        """The totals of all sheets, below the last row."""
        sheet, line = self.sheet, self.line
        sheet.write_string(line, 0, "Total", self.total)
        for place, name in enumerate(UsageRow._fields[1:-1], start=1):
            if name in self.sums:
                sheet.write_number(line, place, self.sums[name], self.total)
            elif name == "record_id":
                sheet.write_string(line, place, f"{self.written.records} records", self.total)
            else:
                sheet.write_blank(line, place, None, self.total)
        _put_money(sheet, line, _COST, self.written.cost, self.total_money)

    def _puts(self) -> list[Callable[[Any, int, int, Any], object]]:
        """How each column's values are put into a cell; never as a formula."""
        day, instant, cash = self.day, self.instant, self.money
        by_kind: dict[type, Callable[[Any, int, int, Any], object]] = {
            datetime: lambda sheet, line, place, at: sheet.write_number(line, place, _serial(at), instant),
            date: lambda sheet, line, place, at: sheet.write_number(line, place, (at - EXCEL_EPOCH).days, day),
            int: lambda sheet, line, place, number: sheet.write_number(line, place, number),
            str: lambda sheet, line, place, text: sheet.write_string(line, place, text),
        }
        puts = [by_kind[KINDS[name][0]] for name in UsageRow._fields]
        puts[_COST] = lambda sheet, line, place, nano: _put_money(sheet, line, place, nano, cash)
        return puts


def _put_money(sheet: Any, line: int, place: int, nano: int, form: Any) -> None:
    """Dollars as a number where a spreadsheet's number keeps every digit of them, else as text."""
    text = money.to_json(nano)
    if len(text.replace(".", "").lstrip("-0")) <= DIGITS:
        sheet.write_number(line, place, float(text), form)
    else:
        sheet.write_string(line, place, text, form)


def _serial(at: datetime) -> float:
    return DAYS_TO_UNIX + (at - UTC_EPOCH) / timedelta(days=1)
