"""XLSX and Parquet, read by others' readers: types, totals, sheets, memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from django.db.models import Sum

from accounts.models import User
from billing import exports, money, rows
from billing.exports import xlsx
from billing.models import Price, UsageRecord
from billing.selection import Selection
from tests.calls import NOON, dollars, make_price, spend
from tests.histories import autumn
from tests.test_export import many

pytestmark = pytest.mark.django_db

TODAY = NOON.date()
YEAR = Selection(first=date(2026, 1, 1), last=date(2026, 12, 31))


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def book(selection: Selection = YEAR) -> Any:
    out = io.BytesIO()
    exports.FORMATS["xlsx"].write(selection=selection, out=out)
    return openpyxl.load_workbook(out)


def parquet(folder: Path, selection: Selection = YEAR) -> duckdb.DuckDBPyRelation:
    file = folder / "usage.parquet"
    with file.open("wb") as out:
        exports.FORMATS["parquet"].write(selection=selection, out=out)
    return duckdb.read_parquet(str(file))


def booked() -> int:
    return int(UsageRecord.objects.aggregate(Sum("cost"))["cost__sum"])


def test_a_workbook_has_dates_numbers_a_frozen_header_and_totals(alice: User, price: Price) -> None:
    at = NOON + timedelta(microseconds=123_000)
    record = spend(user=alice, price=price, now=at, cached_input=300)
    spend(user=alice, price=price, now=at)
    (sheet,) = book().worksheets
    header, first, _, totals = sheet.iter_rows()
    names = [cell.value for cell in header]
    row = dict(zip(names, first, strict=True))
    assert sheet.freeze_panes == "A2"
    assert header[0].font.b
    assert row["spend_date"].value == datetime(2026, 3, 15)
    assert row["spend_date"].number_format == "yyyy-mm-dd"
    assert abs(row["held_at_utc"].value.replace(tzinfo=UTC) - at) < timedelta(milliseconds=1)
    assert (row["input_tokens"].value, row["input_tokens"].data_type) == (1000, "n")
    assert (row["cost_usd"].value, row["cost_usd"].data_type) == (0.00173, "n")
    assert row["record_id"].value == record.pk
    total = dict(zip(names, totals, strict=True))
    assert (total["spend_date"].value, total["record_id"].value) == ("Total", "2 records")
    assert (total["calls"].value, total["input_tokens"].value, total["cost_usd"].value) == (2, 2000, 0.00373)


def test_no_text_of_a_workbook_is_a_formula_or_breaks_it(alice: User, price: Price) -> None:
    for name in ("=1+1", '=HYPERLINK("http://x","y")', "{=1}", "http://example.com", "a\x01b", "<&>", "_x0041_"):
        User.objects.filter(pk=alice.pk).update(name=name)
        spend(user=User.objects.get(pk=alice.pk), price=price)
    sheet = book().active
    column = next(cell.column for cell in sheet[1] if cell.value == "user_name")
    cells = [sheet.cell(row, column) for row in range(2, sheet.max_row)]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value for cell in cells][:2] == ["=1+1", '=HYPERLINK("http://x","y")']


def test_more_rows_than_a_sheet_takes_go_on_in_the_next(
    alice: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "SHEET_ROWS", 10)
    for _ in range(20):
        spend(user=alice, price=price)
    sheets = book().worksheets
    assert [sheet.title for sheet in sheets] == ["Usage", "Usage 2", "Usage 3"]
    assert [sheet.max_row for sheet in sheets] == [9, 9, 6]
    assert all(sheet["A1"].value == "spend_date" and sheet.freeze_panes == "A2" for sheet in sheets)
    last = sheets[-1]
    assert last.cell(6, 1).value == "Total"
    assert last.cell(6, last.max_column).value == 0.04


def test_an_amount_that_a_spreadsheet_cannot_hold_is_text(alice: User, price: Price) -> None:
    spend(user=alice, price=price)
    UsageRecord.objects.update(cost=dollars("1234567.123456789"))
    sheet = book().active
    assert sheet.cell(2, sheet.max_column).value == "1234567.123456789"


def test_a_workbook_of_nothing_opens(db: None) -> None:
    sheet = book().active
    assert (sheet.max_row, sheet["A2"].value) == (2, "Total")


def test_parquet_has_types_nulls_and_exact_decimals(alice: User, finance: User, price: Price, tmp_path: Path) -> None:
    from billing import corrections

    odd = make_price(model="odd", input_price=123_456_789, output_price=3_987_654_321)
    spend(user=alice, price=odd, input=777, output=13)
    corrections.grant_credit(user=alice, amount=1, by=finance, reason="one nano-dollar", now=NOON)
    read = parquet(tmp_path)
    types = dict(zip(read.columns, map(str, read.types), strict=True))
    assert types["cost_usd"] == "DECIMAL(38,18)"
    assert (types["spend_date"], types["held_at"], types["calls"]) == ("DATE", "TIMESTAMP WITH TIME ZONE", "BIGINT")
    rows = [dict(zip(read.columns, row, strict=True)) for row in read.fetchall()]
    assert sum(row["cost_usd"] for row in rows) == money.to_dollars(booked())
    assert rows[1]["cost_usd"] == Decimal("-0.000000001")
    assert (rows[1]["price_id"], rows[1]["price_source"], rows[0]["corrects_record_id"]) == (None, None, None)
    assert rows[0]["spend_date"] == TODAY
    assert rows[0]["held_at"].astimezone(UTC) == NOON


def test_a_history_comes_out_the_same_in_every_format(transactional_db: None, finance: User, tmp_path: Path) -> None:
    autumn(finance)
    sheet = book().active
    in_sheet = [row[-1] for row in sheet.iter_rows(min_row=2, max_row=sheet.max_row - 1, values_only=True)]
    in_parquet = [row[0] for row in parquet(tmp_path).project("cost_usd").fetchall()]
    nanos = list(
        UsageRecord.objects.filter(state="settled").order_by("spend_date", "pk").values_list("cost", flat=True)
    )
    assert [money.to_nano(round(Decimal(cost), 9)) for cost in in_sheet] == nanos
    assert [money.to_nano(cost) for cost in in_parquet] == nanos
    assert sheet.cell(sheet.max_row, sheet.max_column).value == float(money.to_json(sum(nanos)))


@pytest.mark.once("embedded")
@pytest.mark.parametrize("name", ["xlsx", "parquet", "focus"])
def test_memory_does_not_grow_with_the_number_of_rows(alice: User, price: Price, name: str) -> None:
    peaks = []
    for count in (2 * rows.CHUNK, 4 * rows.CHUNK):
        day = date(2025, 1, 1) + timedelta(days=count)
        many(user=alice, price=price, day=day, count=count)
        with tracemalloc_peak() as peak, open("/dev/null", "wb") as out:  # noqa: PTH123
            written = exports.FORMATS[name].write(selection=Selection(first=day, last=day), out=Whole(out))
        peaks.append(peak())
        assert written.records == count
    assert peaks[1] < peaks[0] * 1.3


class Whole(io.RawIOBase):
    """Takes everything, keeps nothing; only where it is in the file."""

    def __init__(self, out: Any) -> None:
        self._out, self._at = out, 0

    def write(self, data: Any) -> int:
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def writable(self) -> bool:
        return True


class tracemalloc_peak:  # noqa: N801
    """What the block needed at most."""

    def __enter__(self) -> Any:
        tracemalloc.start()
        self.most = 0
        return lambda: self.most

    def __exit__(self, *_: object) -> None:
        self.most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def test_a_workbook_is_a_zip_that_says_when_it_ends(alice: User, price: Price) -> None:
    spend(user=alice, price=price)
    out = io.BytesIO()
    exports.FORMATS["xlsx"].write(selection=YEAR, out=out)
    assert zipfile.ZipFile(out).testzip() is None
