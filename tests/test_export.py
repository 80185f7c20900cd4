"""The finance export: every settled record of some days, streaming, exact."""

import csv
import io
import tracemalloc
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from accounts.models import User
from billing import money, reports
from billing.exports import FORMATS
from billing.exports import csv as csv_export
from billing.models import Price, UsageRecord
from tests.calls import NOON, dollars, hold, make_price, spend

pytestmark = pytest.mark.django_db

TODAY = NOON.date()


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def exported(*, first: date = TODAY, last: date = TODAY) -> tuple[list[dict[str, str]], reports.Total, bytes]:
    out = io.BytesIO()
    total = csv_export.write(rows=reports.usage_rows(first=first, last=last), out=out)
    return list(csv.DictReader(io.StringIO(out.getvalue().decode("utf-8"), newline=""))), total, out.getvalue()


def test_one_row_a_settled_record(alice: User, price: Price) -> None:
    record = spend(user=alice, price=price, cached_input=300, reasoning=100)
    hold(user=alice, price=price)
    rows, total, raw = exported()
    assert rows == [
        {
            "spend_date": "2026-03-15",
            "held_at": "2026-03-15T12:00:00.000000Z",
            "settled_at": "2026-03-15T12:00:00.000000Z",
            "record_id": str(record.pk),
            "user_id": str(alice.pk),
            "user_name": "Alice",
            "group_name": "",
            "feature": "chat",
            "model": "test-model",
            "price_id": str(price.pk),
            "price_source": "negotiated",
            "key_fingerprint": "",
            "provider_request_id": "req_1",
            "outcome": "complete",
            "measured": "provider",
            "input_tokens": "1000",
            "cached_input_tokens": "300",
            "cache_write_tokens": "0",
            "output_tokens": "500",
            "reasoning_tokens": "100",
            "cost_usd": "0.00173",
        }
    ]
    assert (total.calls, total.cost) == (1, record.cost)
    assert raw.count(b"\r\n") == 2 == raw.count(b"\n")


def test_both_dates_are_included_and_rows_come_in_order(alice: User, price: Price) -> None:
    for days in (3, 1, 0, 2):
        spend(user=alice, price=price, now=NOON + timedelta(days=days))
    rows, total, _ = exported(first=TODAY, last=TODAY + timedelta(days=2))
    assert [row["spend_date"] for row in rows] == ["2026-03-15", "2026-03-16", "2026-03-17"]
    assert total.cost == dollars("0.006")


def test_the_rows_add_up_to_the_records_to_the_last_digit(alice: User) -> None:
    odd = make_price(model="odd", input_price=dollars("0.123456789"), output_price=dollars("3.987654321"))
    for number in range(1, 30):
        spend(user=alice, price=odd, input=number * 7, output=number * 13)
    rows, total, _ = exported()
    booked = UsageRecord.objects.aggregate(Sum("cost"))["cost__sum"]
    assert total.cost == booked
    assert sum(Decimal(row["cost_usd"]) for row in rows) == money.to_dollars(booked)


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", " =1+1", "＝1+1", '=HYPERLINK("http://example.com","x")'],
)
def test_no_name_becomes_a_formula(alice: User, price: Price, name: str) -> None:
    User.objects.filter(pk=alice.pk).update(name=name)
    spend(user=User.objects.get(), price=price)
    rows, _, _ = exported()
    assert rows[0]["user_name"] == f"'{name}"


@pytest.mark.parametrize("name", ['Ann "the pen", Lee', "two\nlines", "Zoë 😀 李", "a=b", "3-4"])
def test_any_other_name_comes_back_as_it_was(alice: User, price: Price, name: str) -> None:
    User.objects.filter(pk=alice.pk).update(name=name)
    spend(user=User.objects.get(), price=price)
    rows, _, _ = exported()
    assert rows[0]["user_name"] == name


def many(*, user: User, price: Price, day: date, count: int) -> None:
    record = spend(user=user, price=price)
    fields = {field.attname: getattr(record, field.attname) for field in UsageRecord._meta.concrete_fields}
    copies = (UsageRecord(**fields | {"id": None, "spend_date": day}) for _ in range(count))
    UsageRecord.objects.bulk_create(copies, batch_size=1000)


def test_memory_does_not_grow_with_the_number_of_rows(alice: User, price: Price) -> None:
    class Sink(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    peaks = []
    for count in (3 * reports.CHUNK, 9 * reports.CHUNK):
        day = date(2025, 1, 1) + timedelta(days=count)
        many(user=alice, price=price, day=day, count=count)
        tracemalloc.start()
        total = csv_export.write(rows=reports.usage_rows(first=day, last=day), out=Sink())  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total.calls == count
    assert peaks[1] < peaks[0] * 1.2


def test_every_format_is_named(db: None) -> None:
    assert FORMATS == {"csv": csv_export}


def test_the_command_writes_a_file_whole_or_not_at_all(
    alice: User, price: Price, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(user=alice, price=price)
    out = tmp_path / "march.csv"
    command = ["export_usage", "--from", "2026-03-01", "--to", "2026-03-31", "--format", "csv", "--out", str(out)]
    call_command(*command)
    assert out.read_bytes() == exported()[2]
    assert capsys.readouterr().err == "1 usage records, $0.002 in total.\n"

    def breaks(row: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(csv_export, "_cell", breaks)
    out.write_bytes(b"what was there before")
    with pytest.raises(RuntimeError):
        call_command(*command)
    assert out.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [out]


def test_the_command_writes_to_the_standard_output(
    alice: User, price: Price, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    spend(user=alice, price=price)
    call_command("export_usage", "--from", "2026-03-15", "--to", "2026-03-15")
    assert capfdbinary.readouterr().out == exported()[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "2026-03-02", "--to", "2026-03-01"],
        ["--from", "yesterday", "--to", "2026-03-01"],
        ["--from", "2026-03-01"],
        ["--from", "2026-03-01", "--to", "2026-03-01", "--format", "doc"],
        ["--from", "2026-03-01", "--to", "2026-03-01", "--out", "/nowhere/at/all.csv"],
    ],
)
def test_the_command_refuses_what_makes_no_sense(db: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("export_usage", *arguments)
