"""FOCUS: its MUSTs over varied data, corrections of closed months, and amounts to the last nano-dollar."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import InvalidRequest
from accounts.models import User
from billing import closing, corrections, exports, money, prices, pricing
from billing.exports.focus import metadata
from billing.exports.focus.amounts import shares, text
from billing.exports.focus.columns import VERSIONS
from billing.models import Price, UsageRecord
from billing.selection import Selection
from tests import focus_rules
from tests.calls import dollars, make_price, spend
from tests.clients import signed_in
from tests.histories import OCTOBER, autumn

ALL = Selection(first=date(2026, 9, 1), last=date(2026, 12, 31))
Rows = list[dict[str, str | None]]


def rows_of(*, selection: Selection = ALL, version: str = "1.2") -> Rows:
    out = io.BytesIO()
    exports.of("focus", focus_version=version).write(selection=selection, out=out)
    lines = csv.DictReader(io.StringIO(out.getvalue().decode("utf-8"), newline=""))
    return [{name: value or None for name, value in row.items()} for row in lines]


@pytest.fixture
def history(transactional_db: None, finance: User) -> None:
    autumn(finance)


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_every_must_holds_over_varied_data(history: None, version: str) -> None:
    rows = rows_of(version=version)
    assert len(rows) > 150
    assert focus_rules.broken(rows, columns=list(rows[0]), version=version) == []
    seen = {(row["ChargeCategory"], row["ChargeClass"]) for row in rows}
    assert seen >= {("Usage", None), ("Usage", "Correction"), ("Credit", None), ("Adjustment", None)}
    assert {row["x_TokenClass"] for row in rows} >= {
        "input", "cached_input", "cache_write", "output", "input.audio", "output.audio", None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"BilledCost": "1,5"}, "no number"),
        ({"ChargePeriodStart": "2026-10-01 00:00:00"}, "no UTC instant"),
        ({"ListCost": "0.1"}, "ListUnitPrice × PricingQuantity"),
        ({"ConsumedQuantity": None}, "ConsumedQuantity must not be null"),
        ({"PricingUnit": "1000000 tokens"}, "no unit"),
        ({"ChargeClass": "Fix"}, "ChargeClass"),
        ({"ChargeCategory": "Credit"}, "ConsumedQuantity must be null"),
        ({"SubAccountType": None, "SubAccountId": "g"}, "null together"),
        ({"Tags": '{"user":"x"}'}, "no prefix"),
        ({"ProviderName": None}, "is null"),
        ({"BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z"}, "no correction"),
    ],
)
def test_the_checker_sees_what_is_wrong(alice: User, change: dict[str, str | None], said: str) -> None:
    spend(user=alice, price=make_price(), now=OCTOBER)
    (row, *_) = rows_of()
    assert any(said in sentence for sentence in focus_rules.broken([{**row, **change}], columns=list(row)))


def test_the_rows_of_a_record_add_up_to_it(history: None) -> None:
    billed: dict[str | None, Decimal] = defaultdict(Decimal)
    contracted: dict[str | None, Decimal] = defaultdict(Decimal)
    for row in rows_of():
        billed[row["x_UsageRecordId"]] += Decimal(row["BilledCost"] or "")
        contracted[row["x_UsageRecordId"]] += Decimal(row["ContractedCost"] or "")
        assert money.to_dollars(int(row["x_CostNanoDollars"] or "")) == Decimal(row["BilledCost"] or "")
        assert abs(Decimal(row["BilledCost"] or "") - Decimal(row["ContractedCost"] or "")) < Decimal("1e-9")
    settled = UsageRecord.objects.filter(state="settled")
    assert {str(pk): money.to_dollars(cost) for pk, cost in settled.values_list("pk", "cost") if cost} == {
        pk: cost for pk, cost in billed.items() if cost
    }
    assert all(abs(billed[pk] - contracted[pk]) < Decimal("1e-9") for pk in billed)


def test_a_reversal_takes_back_what_was_there_and_says_so(transactional_db: None, alice: User, finance: User) -> None:
    price = make_price(input_price=123_456_789, output_price=dollars("3.987654321"))
    record = spend(user=alice, price=price, now=OCTOBER, input=777, output=13)
    before = corrections.reverse(record=record, by=finance, reason="no", now=OCTOBER + timedelta(days=1))
    closing.close(month=OCTOBER.date(), by=finance, now=OCTOBER + timedelta(days=33))
    later = spend(user=alice, price=price, now=OCTOBER + timedelta(days=33), input=3, output=3)
    corrections.reverse(record=later, by=finance, reason="no", now=OCTOBER + timedelta(days=40))
    by_record: dict[str | None, Rows] = defaultdict(list)
    for row in rows_of():
        by_record[row["x_UsageRecordId"]].append(row)
    for original, reversal in ((record, before), (later, later.corrections.get())):
        gone, back = by_record[str(original.pk)], by_record[str(reversal.pk)]
        for name in ("BilledCost", "ListCost", "ContractedCost", "ConsumedQuantity", "PricingQuantity"):
            assert [-Decimal(row[name] or "") for row in gone] == [Decimal(row[name] or "") for row in back]
        assert all(row["ChargeClass"] is None for row in back), "its month was open"
        assert {row["ChargePeriodStart"] for row in back} == {row["ChargePeriodStart"] for row in gone}
        assert {row["x_CorrectsUsageRecordId"] for row in back} == {str(original.pk)}


def test_only_what_corrects_a_closed_month_is_a_correction(transactional_db: None, alice: User, finance: User) -> None:
    price = make_price()
    first, second = (spend(user=alice, price=price, now=OCTOBER + timedelta(days=day)) for day in (3, 4))
    november = OCTOBER + timedelta(days=33)
    open_still = corrections.reverse(record=first, by=finance, reason="early", now=november)
    closing.close(month=OCTOBER.date(), by=finance, now=november + timedelta(hours=1))
    _, replaced = corrections.correct(
        record=second, tokens=pricing.Tokens(input=1, output=1), by=finance, reason="late",
        now=november + timedelta(days=1),
    )  # fmt: skip
    again = corrections.reverse(record=replaced, by=finance, reason="later", now=november + timedelta(days=2))
    rows = rows_of(selection=Selection(first=date(2026, 11, 1), last=date(2026, 11, 30)))
    seen = {
        (row["x_UsageRecordId"], row["ChargeClass"], row["BillingPeriodStart"], row["ChargePeriodStart"])
        for row in rows
    }
    assert (str(open_still.pk), None, "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z") in seen
    for correction in (replaced, again):
        assert (str(correction.pk), "Correction", "2026-11-01T00:00:00Z", "2026-10-05T00:00:00Z") in seen
    assert focus_rules.broken(rows, columns=list(rows[0])) == []


def test_a_group_that_goes_leaves_a_closed_month_as_it_was(
    transactional_db: None, alice: User, finance: User, staff: User
) -> None:
    sales = Group.objects.create(name="Sales")
    alice.groups.add(sales)
    original = spend(user=alice, price=make_price(), now=OCTOBER)
    closing.close(month=OCTOBER.date(), by=finance, now=OCTOBER + timedelta(days=33))
    before, number = rows_of(), f"group-{sales.pk}"
    assert {row["SubAccountId"] for row in before} == {number}
    with CaptureQueriesContext(connection) as asked:
        sales.delete()
    assert not [query for query in asked.captured_queries if "billing_usagerecord" in query["sql"]]
    assert rows_of() == before
    corrections.reverse(record=original, by=finance, reason="late", now=OCTOBER + timedelta(days=34))
    assert {(row["SubAccountId"], row["SubAccountName"]) for row in rows_of()} == {(number, "Sales")}
    shown = signed_in(staff).get(reverse("admin:billing_usagerecord_change", args=[original.pk])).content.decode()
    assert "Sales" in shown


def test_the_example_of_812_tokens(alice: User, settings: Any) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo("Europe/Berlin")
    price = make_price(model="gpt-4o-mini", source=Price.Source.CATALOGUE, input_price=dollars("0.15"))
    spend(user=alice, price=price, now=datetime(2026, 11, 24, 12, tzinfo=ZoneInfo("UTC")), input=812, output=0)
    (row,) = rows_of()
    expected = {
        "BilledCost": "0.0001218", "ListCost": "0.0001218", "ConsumedQuantity": "812", "ConsumedUnit": "Tokens",
        "PricingQuantity": "0.000812", "PricingUnit": "1000000 Tokens", "ListUnitPrice": "0.15",
        "BillingPeriodStart": "2026-10-31T23:00:00Z", "BillingPeriodEnd": "2026-11-30T23:00:00Z",
        "ChargePeriodStart": "2026-11-23T23:00:00Z", "ChargePeriodEnd": "2026-11-24T23:00:00Z",
        "SkuId": "openai/gpt-4o-mini/input", "SkuMeter": "Input Tokens", "InvoiceId": None, "ChargeClass": None,
        "ChargeDescription": "gpt-4o-mini input tokens at $0.15 per 1M", "x_SpendDate": "2026-11-24",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_a_negotiated_price_stands_beside_the_list_price(alice: User) -> None:
    make_price(model="gpt-4o", source=Price.Source.CATALOGUE, input_price=dollars("2.5"))
    ours = make_price(model="gpt-4o", effective_from=OCTOBER - timedelta(days=9), input_price=dollars("2"))
    spend(user=alice, price=ours, now=OCTOBER, input=1000, output=0)
    (row,) = rows_of()
    assert (row["ListUnitPrice"], row["ContractedUnitPrice"]) == ("2.5", "2")
    assert (row["ListCost"], row["ContractedCost"], row["BilledCost"]) == ("0.0025", "0.002", "0.002")


def test_a_model_that_is_listed_later_leaves_what_was_billed_before_as_it_was(alice: User) -> None:
    ours = make_price(model="gpt-4o", effective_from=OCTOBER - timedelta(days=9), input_price=dollars("2"))
    spend(user=alice, price=ours, now=OCTOBER)
    before = rows_of()
    now = OCTOBER + timedelta(days=40)
    begins = {price.model: price.effective_from for price in prices.sync(now=now)}
    assert (begins["gpt-4o"], begins["gpt-4o-mini"]) == (now, prices.FIRST_INSTANT)
    assert rows_of() == before
    spend(user=alice, price=ours, now=now)
    assert [row["ListUnitPrice"] for row in rows_of() if row["x_TokenClass"] == "input"] == ["2", "2.5"]


def test_parquet_holds_the_same_as_csv_with_decimals(history: None, tmp_path: Any) -> None:
    file = tmp_path / "focus.parquet"
    with file.open("wb") as out:
        exports.FORMATS["focus-parquet"].write(selection=ALL, out=out)
    read = duckdb.read_parquet(str(file))
    types = dict(zip(read.columns, map(str, read.types), strict=True))
    assert {types[name] for name in focus_rules.DECIMALS} == {"DECIMAL(38,18)"}
    assert {types[name] for name in focus_rules.INSTANTS} == {"TIMESTAMP WITH TIME ZONE"}
    rows = rows_of()
    names = [
        "x_UsageRecordId",
        "x_TokenClass",
        "BilledCost",
        "ListCost",
        "ChargeClass",
        "SubAccountName",
        "x_Estimated",
    ]
    found = [
        tuple(None if value is None else str(value).lower() for value in row)
        for row in duckdb.sql(
            "SELECT x_UsageRecordId, x_TokenClass, BilledCost::VARCHAR, ListCost::VARCHAR, ChargeClass, SubAccountName,"
            f" x_Estimated FROM '{file}'"
        ).fetchall()
    ]
    assert [(*row[:2], Decimal(row[2] or ""), Decimal(row[3] or ""), *row[4:]) for row in found] == [
        tuple(
            Decimal(row[name] or "")
            if name.endswith("Cost")
            else (row[name].lstrip("'").lower() if row[name] else None)  # type: ignore[union-attr]
            for name in names
        )
        for row in rows
    ]


def test_the_metadata_describes_every_column(db: None) -> None:
    for version, columns in VERSIONS.items():
        document = json.loads(metadata.document(version))
        (schema,) = document["Schema"]
        assert schema["FocusVersion"] == version
        assert [column["ColumnName"] for column in schema["ColumnDefinition"]] == [column.name for column in columns]
        assert all(column["DataType"] for column in schema["ColumnDefinition"])
        tags = next(column for column in schema["ColumnDefinition"] if column["ColumnName"] == "Tags")
        assert tags["ProviderTagPrefixes"] == ["chat/"]
    assert metadata.schema_id("1.2") != metadata.schema_id("1.3")


def test_a_version_that_nobody_knows_is_refused(db: None) -> None:
    with pytest.raises(InvalidRequest):
        exports.of("focus", focus_version="0.9")


LINES = st.lists(
    st.builds(
        pricing.Line,
        st.sampled_from(["input", "output", "cached_input"]),
        st.integers(1, 10_000_000),
        st.integers(0, 10**12),
    ),
    min_size=1,
    max_size=6,
)


@given(LINES)
def test_shares_add_up_and_are_within_a_nano_dollar(lines: list[pricing.Line]) -> None:
    exact = [line.quantity * line.rate for line in lines]
    cost = money.divide_half_even(sum(exact), money.TOKENS_PER_PRICE)
    found = shares(cost=cost, lines=lines)
    assert sum(found) == cost
    assert all(
        abs(share * money.TOKENS_PER_PRICE - of) < money.TOKENS_PER_PRICE
        for share, of in zip(found, exact, strict=True)
    )
    back = shares(cost=-cost, lines=[line._replace(quantity=-line.quantity) for line in lines])
    assert back == [-share for share in found]


@given(st.integers(-(10**30), 10**30), st.integers(1, 18))
def test_amounts_are_plain_decimals(amount: int, places: int) -> None:
    said = text(amount, places)
    assert focus_rules.NUMBER.fullmatch(said)
    assert Fraction(said) == Fraction(amount, 10**places)
    assert "e" not in said.lower()
