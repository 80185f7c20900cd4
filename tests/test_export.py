"""The finance export: every settled record of some days, streaming, exact."""

import csv
import io
import os
import tracemalloc
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from accounts.models import User
from billing import money, rows
from billing.exports import FORMATS, Written
from billing.exports import csv as csv_export
from billing.models import Price, UsageRecord
from billing.selection import Selection
from tests.calls import NOON, dollars, hold, make_price, spend
from tests.histories import autumn

pytestmark = pytest.mark.django_db

TODAY = NOON.date()


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def exported(*, first: date = TODAY, last: date = TODAY) -> tuple[list[dict[str, str]], Written, bytes]:
    out = io.BytesIO()
    total = csv_export.write(selection=Selection(first=first, last=last), out=out)
    return list(csv.DictReader(io.StringIO(out.getvalue().decode("utf-8"), newline=""))), total, out.getvalue()


def test_one_row_a_settled_record(alice: User, price: Price) -> None:
    record = spend(user=alice, price=price, cached_input=300, reasoning=100)
    hold(user=alice, price=price)
    lines, total, raw = exported()
    assert lines == [
        {
            "spend_date": "2026-03-15",
            "held_at": "2026-03-15T12:00:00.000000Z",
            "settled_at": "2026-03-15T12:00:00.000000Z",
            "record_id": str(record.pk),
            "kind": "call",
            "calls": "1",
            "corrects_record_id": "",
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
            "reason": "",
            "cost_usd": "0.00173",
        }
    ]
    assert (total.calls, total.cost) == (1, record.cost)
    assert raw.count(b"\r\n") == 2 == raw.count(b"\n")


def test_both_dates_are_included_and_rows_come_in_order(alice: User, price: Price) -> None:
    for days in (3, 1, 0, 2):
        spend(user=alice, price=price, now=NOON + timedelta(days=days))
    lines, total, _ = exported(first=TODAY, last=TODAY + timedelta(days=2))
    assert [row["spend_date"] for row in lines] == ["2026-03-15", "2026-03-16", "2026-03-17"]
    assert total.cost == dollars("0.006")


def test_the_rows_add_up_to_the_records_to_the_last_digit(alice: User) -> None:
    odd = make_price(model="odd", input_price=dollars("0.123456789"), output_price=dollars("3.987654321"))
    for number in range(1, 30):
        spend(user=alice, price=odd, input=number * 7, output=number * 13)
    lines, total, _ = exported()
    booked = UsageRecord.objects.aggregate(Sum("cost"))["cost__sum"]
    assert total.cost == booked
    assert sum(Decimal(row["cost_usd"]) for row in lines) == money.to_dollars(booked)


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", " =1+1", "＝1+1", '=HYPERLINK("http://example.com","x")'],
)
def test_no_name_becomes_a_formula(alice: User, price: Price, name: str) -> None:
    User.objects.filter(pk=alice.pk).update(name=name)
    spend(user=User.objects.get(), price=price)
    lines, _, _ = exported()
    assert lines[0]["user_name"] == f"'{name}"


@pytest.mark.parametrize("name", ['Ann "the pen", Lee', "two\nlines", "Zoë 😀 李", "a=b", "3-4"])
def test_any_other_name_comes_back_as_it_was(alice: User, price: Price, name: str) -> None:
    User.objects.filter(pk=alice.pk).update(name=name)
    spend(user=User.objects.get(), price=price)
    lines, _, _ = exported()
    assert lines[0]["user_name"] == name


def many(*, user: User, price: Price, day: date, count: int) -> None:
    """So many settled calls on a day.

    Where a test commits, they come in transactions of a thousand, as calls never come in one: autovacuum that looks
    into the middle of a long one notes that the tables are empty, however large, and PostgreSQL plans by it.
    """
    record = spend(user=user, price=price)
    fields = {field.attname: getattr(record, field.attname) for field in UsageRecord._meta.concrete_fields}
    copy = fields | {"id": None, "spend_date": day}
    for begun in range(0, count, 1000):
        UsageRecord.objects.bulk_create(UsageRecord(**copy) for _ in range(min(1000, count - begun)))


def test_memory_does_not_grow_with_the_number_of_rows(alice: User, price: Price) -> None:
    class Sink(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(data)  # type: ignore[arg-type]

    peaks = []
    for count in (2 * rows.CHUNK, 4 * rows.CHUNK):
        day = date(2025, 1, 1) + timedelta(days=count)
        many(user=alice, price=price, day=day, count=count)
        tracemalloc.start()
        total = csv_export.write(selection=Selection(first=day, last=day), out=Sink())  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total.calls == count
    assert peaks[1] < peaks[0] * 1.2


def test_every_format_is_named(db: None) -> None:
    assert list(FORMATS) == ["csv", "xlsx", "parquet", "focus", "focus-parquet"]
    assert FORMATS["csv"] is csv_export


def test_the_command_writes_a_file_whole_or_not_at_all(
    alice: User, price: Price, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(user=alice, price=price)
    out = tmp_path / "march.csv"
    command = ["export_usage", "--from", "2026-03-01", "--to", "2026-03-31", "--format", "csv", "--out", str(out)]
    call_command(*command)
    assert out.read_bytes() == exported()[2]
    assert capsys.readouterr().err == "1 usage records, $0.002 in total.\n"

    def breaks(**_: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(csv_export, "write", breaks)
    out.write_bytes(b"what was there before")
    with pytest.raises(RuntimeError):
        call_command(*command)
    assert out.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [out]


def test_the_command_writes_into_a_pipe_and_through_a_link(alice: User, price: Price, tmp_path: Path) -> None:
    """It takes the place of nothing but a file: as root it would take that of a device."""
    spend(user=alice, price=price)
    command = ["export_usage", "--from", "2026-03-01", "--to", "2026-03-31", "--out"]
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # there before the writer, who would wait for one
    try:
        call_command(*command, str(pipe))
        assert os.read(reader, 100_000) == exported()[2]
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    target.write_bytes(b"before")
    link.symlink_to(target)
    call_command(*command, str(link))
    assert link.is_symlink()
    assert target.read_bytes() == exported()[2]


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


def test_both_ways_to_write_it_give_the_same_bytes(transactional_db: None, finance: User) -> None:
    autumn(finance)
    for number, name in enumerate(
        ("", " ", "\t", "\x1fx", "\u3000=x", "'quoted", "_x", "@", "~", "é=1", 'a"b,c', "a\r\nb", "🙂")
    ):
        user = User.objects.create_user(f"odd-{number}@example.com")
        spend(user=user, price=UsageRecord.objects.filter(kind="call")[0].held_price)
        UsageRecord.objects.filter(user=user).update(user_name=name)
    everything = Selection(first=date(2026, 1, 1), last=date(2026, 12, 31))
    by_database, by_hand = io.BytesIO(), io.BytesIO()
    one = csv_export.write(selection=everything, out=by_database)
    with rows.usage_rows(everything) as given:
        other = csv_export.write_rows(rows=given, out=by_hand)
    assert by_database.getvalue() == by_hand.getvalue()
    assert one == other


def test_watching_tells_how_far_it_is_and_may_end_it(transactional_db: None, alice: User, price: Price) -> None:
    many(user=alice, price=price, day=date(2025, 1, 1), count=2500)
    seen: list[int] = []
    selection = Selection(first=date(2025, 1, 1), last=date(2025, 1, 1))
    for form in FORMATS.values():
        seen.clear()
        form.write(selection=selection, out=io.BytesIO(), watch=seen.append)
        assert seen == [1000, 2000]

    def stop(done: int) -> None:
        raise InterruptedError

    for form in FORMATS.values():
        with pytest.raises(InterruptedError):
            form.write(selection=selection, out=io.BytesIO(), watch=stop)


def test_the_command_writes_the_metadata_of_focus_beside_it(alice: User, price: Price, tmp_path: Path) -> None:
    spend(user=alice, price=price)
    out = tmp_path / "march.csv"
    call_command("export_usage", "--from", "2026-03-01", "--to", "2026-03-31", "--format", "focus", "--out", str(out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["march.csv", "march.metadata.json"]


def test_the_command_says_where_the_metadata_of_focus_can_t_be_written(
    alice: User, price: Price, tmp_path: Path
) -> None:
    (tmp_path / "march.metadata.json").mkdir()
    command = ["export_usage", "--from", "2026-03-01", "--to", "2026-03-31", "--format", "focus"]
    with pytest.raises(CommandError, match=r"metadata\.json can't be written: Is a directory"):
        call_command(*command, "--out", str(tmp_path / "march.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["march.csv", "march.metadata.json"]


def test_one_command_prints_that_all_totals_are_equal(
    transactional_db: None, finance: User, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    autumn(finance)
    command = ["export_usage", "--from", "2026-01-01", "--to", "2026-12-31", "--check"]
    call_command(*command)
    *lines, verdict = capsys.readouterr().out.splitlines()
    booked = UsageRecord.objects.aggregate(Sum("cost"))["cost__sum"]
    assert verdict == "All totals are equal."
    assert [line.split("  ")[0] for line in lines] == [
        "usage records", *(f"report by {name}" for name in ("day", "user", "group", "model", "feature", "key")),
        *(f"{name} file" for name in FORMATS),
    ]  # fmt: skip
    assert {line.partition("$")[2].split()[0] for line in lines} == {f"{money.to_dollars(booked):,.9f}"}
    monkeypatch.setattr(money, "to_json", lambda nano: f"{money.to_dollars(nano + 1):.9f}")
    with pytest.raises(CommandError, match="differ"):
        call_command(*command)
