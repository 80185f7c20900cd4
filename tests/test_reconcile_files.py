"""The provider's files: read exactly as they are, or refused with a sentence."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.reconciliation import statement
from billing.reconciliation.figures import Group, Span, Sums, day_span
from billing.reconciliation.values import Unreadable
from tests.invoices import Used, bucket, cost, dashboard, page, unix, usage

pytestmark = pytest.mark.once("embedded")

FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (3, 4, 5))


def costs_of(*contents: bytes, day: date = FIRST) -> dict[str, int]:
    """Nano-dollars by model."""
    found = statement.read([(f"file {number}", content) for number, content in enumerate(contents)])
    return {group.model: sums.cost for group, sums in found.sums(day, by_model=True, by_key=False).items()}


def test_amounts_are_read_as_they_are_written_and_rounded_once() -> None:
    lines = [cost("gpt-4o", Decimal("0.1")), cost("gpt-4o", Decimal("0.2"), item="output")]
    assert costs_of(page(bucket(FIRST, *lines))) == {"gpt-4o": 300_000_000}
    noise = [cost("gpt-4o", Decimal("0.06000000000000000499600361081"))] * 3
    assert costs_of(page(bucket(FIRST, *noise))) == {"gpt-4o": 180_000_000}
    halves = [cost("a", Decimal("0.0000000005")), cost("b", Decimal("1.5e-9")), cost("c", Decimal("-0.0000000015"))]
    assert costs_of(page(bucket(FIRST, *halves))) == {"a": 0, "b": 2, "c": -2}
    assert costs_of(page(bucket(FIRST, cost("x", 1), cost("x", "2.5")))) == {"x": 3_500_000_000}


def test_a_line_item_is_cut_at_its_last_comma() -> None:
    spelt = {"gpt-6-astra, input_tokens": 1, "gpt-4o-2024-08-06, cached input": 2, "ft:gpt-4o:a, b::c, output": 3,
             "web search": 4}  # fmt: skip
    lines = [cost(None, value, line_item=item) for item, value in spelt.items()]
    assert costs_of(page(bucket(FIRST, *lines))) == {
        "gpt-6-astra": 10**9, "gpt-4o-2024-08-06": 2 * 10**9, "ft:gpt-4o:a, b::c": 3 * 10**9, "web search": 4 * 10**9,
    }  # fmt: skip


def test_usage_counts_and_idle_days() -> None:
    used = usage("gpt-4o", Used(calls=2, input=100, output=20, cached=64), input_cache_write_tokens=7, api_key_id="k")
    found = statement.read([("usage", page(bucket(FIRST, used, used), bucket(SECOND)))])
    assert found.kinds == ["usage"]
    assert found.sums(FIRST, by_model=True, by_key=True) == {
        Group(FIRST, "gpt-4o", "k"): Sums(4, 200, 128, 14, 40, 0),
    }  # fmt: skip
    assert found.span(SECOND) == day_span(SECOND)
    assert found.sums(SECOND, by_model=True, by_key=True) == {}
    assert statement.missing(found, first=FIRST, last=THIRD) == [THIRD]


def test_keys_that_are_null_are_no_grouping() -> None:
    plain = statement.read([("a", page(bucket(FIRST, usage(None, Used(1, 1, 1)))))])
    assert (plain.tells("model"), plain.tells("key")) == (False, False)
    mixed = [usage("m", Used(1, 1, 1), api_key_id="k"), usage("m", Used(1, 1, 1))]
    assert statement.read([("a", page(bucket(FIRST, *mixed)))]).tells("key")
    both = [("a", page(bucket(FIRST, mixed[0]))), ("b", page(bucket(FIRST, cost("m", 1))))]
    assert not statement.read(both).tells("key"), "the costs are not by key"


def test_the_first_bucket_is_clipped_and_hours_make_a_day() -> None:
    clipped = statement.read([("a", page(bucket(FIRST, cost("m", 1), start=14), bucket(SECOND)))])
    assert clipped.span(FIRST) == Span(datetime(2026, 3, 3, 14, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC))
    hours = [bucket(FIRST, usage("m", Used(1, 1, 1)), start=hour, end=hour + 1) for hour in range(23)]
    whole = statement.read([("a", page(*hours, bucket(FIRST, start=23)))])
    assert whole.span(FIRST) == day_span(FIRST)
    assert whole.sums(FIRST, by_model=False, by_key=False)[Group(FIRST)].calls == 23
    holes = statement.read([("a", page(*hours[:3], *hours[5:]))])
    assert holes.span(FIRST) is None
    assert "have holes" in holes.notes[0]
    both = statement.read(
        [("a", page(bucket(FIRST), bucket(SECOND))), ("b", page(bucket(FIRST, usage("m", Used(1, 1, 1)))))]
    )
    assert (both.span(SECOND), both.notes) == (day_span(SECOND), [])
    assert both.sums(FIRST, by_model=True, by_key=False) == {Group(FIRST, "m"): Sums(1, 1, 0, 0, 1, 0)}, (
        "an idle file is of what the others are of"
    )
    apart = [("a", page(bucket(FIRST, cost("m", 1), start=14))), ("b", page(bucket(FIRST, usage("m", Used(1, 1, 1)))))]
    differing = statement.read(apart)
    assert differing.span(FIRST) is None
    assert "different hours" in differing.notes[0]


def test_pages_in_any_wrapping_and_once_each() -> None:
    first, second = page(bucket(FIRST, cost("m", 1)), has_more=True), page(bucket(SECOND, cost("m", 2)))
    for contents in ([first, second], [b"[" + first + b"," + second + b"]"], [first + b"\n" + second], [second, first]):
        assert costs_of(*contents, day=SECOND) == {"m": 2 * 10**9}
        assert costs_of(*contents) == {"m": 10**9}
    assert costs_of(first, second, first) == {"m": 10**9}, "a page given twice counts once"
    found = statement.read([("a", first)])
    assert "more pages follow" in found.notes[0]
    assert statement.missing(found, first=FIRST, last=SECOND) == [SECOND]
    assert not any("more pages" in note for note in statement.read([("a", first), ("b", second)]).notes)
    with pytest.raises(Unreadable, match="twice, with different figures"):
        costs_of(first, page(bucket(FIRST, cost("m", 3))))


def test_the_dashboard_s_csv() -> None:
    rows = [(FIRST, "gpt-4o, input", "0.10"), (FIRST, "gpt-4o, output", "1.5e-1"), (THIRD, "gpt-4o, input", "2")]
    content = dashboard(*rows, note="=1+1")
    assert costs_of(content) == {"gpt-4o": 250_000_000}
    found = statement.read([("a.csv", content)])
    assert found.span(SECOND) == day_span(SECOND), "between two rows a day was idle"
    assert statement.missing(found, first=date(2026, 3, 2), last=THIRD) == [date(2026, 3, 2)]
    assert costs_of(b'start_time,amount_value,line_item\r\n2026-03-03,3,"a, b"\r\n') == {"a": 3 * 10**9}
    used = f"start_time,end_time,model,num_model_requests,input_tokens,output_tokens\n{unix(FIRST)},,m,2,30,4\n"
    assert statement.read([("a", used.encode())]).sums(FIRST, by_model=True, by_key=False) == {
        Group(FIRST, "m"): Sums(2, 30, 0, 0, 4, 0)
    }


def results(**fields: object) -> bytes:
    return page(bucket(FIRST, {**cost("m", 1), **fields}))


HOSTILE = {
    "empty": b"  \n",
    "not text": b"\xff\xfe{}",
    "cut off": page(bucket(FIRST, cost("m", 1)))[:-20],
    "deep": b"[" * 100_000,
    "not a page": b'{"error": {"message": "no"}}',
    "data is no list": b'{"data": {"results": []}}',
    "a bucket is no object": b'{"data": [7]}',
    "results are no objects": b'{"data": [{"start_time": 1772496000, "end_time": 1772582400, "results": [1]}]}',
    "NaN": page(bucket(FIRST, cost("m", 1))).replace(b'"value": 1', b'"value": NaN'),
    "a huge exponent": results(amount={"value": Decimal("1e999999"), "currency": "usd"}),
    "a tiny exponent": results(amount={"value": Decimal("1e-999999"), "currency": "usd"}),
    "a huge amount": results(amount={"value": 10**30, "currency": "usd"}),
    "a text": results(amount={"value": "Infinity", "currency": "usd"}),
    "true": results(amount={"value": True, "currency": "usd"}),
    "no amount": results(amount=None),
    "an amount without a value": results(amount={"currency": "usd"}),
    "euros": results(amount={"value": 1, "currency": "eur"}),
    "a line item that is no text": results(line_item=["gpt-4o"]),
    "a very long line item": results(line_item="x" * 5000),
    "another usage": page(bucket(FIRST, {"object": "organization.usage.embeddings.result", "input_tokens": 1})),
    "both kinds": page(bucket(FIRST, cost("m", 1)), bucket(SECOND, usage("m", Used(1, 1, 1)))),
    "both kinds in a bucket": page(bucket(FIRST, cost("m", 1), usage("m", Used(1, 1, 1)))),
    "a negative count": page(bucket(FIRST, usage("m", Used(-1, 1, 1)))),
    "a fraction of a token": page(bucket(FIRST, usage("m", Used(1, 1, 1), input_tokens=Decimal("1.5")))),
    "too many tokens": page(bucket(FIRST, usage("m", Used(1, 10**18, 1)))),
    "more cached than input": page(bucket(FIRST, usage("m", Used(1, 10, 1, cached=11)))),
    "no time": json.dumps({"data": [{"start_time": None, "end_time": 1, "results": []}]}).encode(),
    "milliseconds": b'{"data": [{"start_time": 1772496000000, "end_time": 1772582400000, "results": []}]}',
    "before there was an API": b'{"data": [{"start_time": 86400, "end_time": 172800, "results": []}]}',
    "a week": json.dumps({"data": [{"start_time": 1772496000, "end_time": 1773100800, "results": []}]}).encode(),
    "backwards": json.dumps({"data": [{"start_time": 1772582400, "end_time": 1772496000, "results": []}]}).encode(),
    "a CSV of something else": b"name,e-mail\r\nalice,alice@example.com\r\n",
    "a CSV with a bad amount": dashboard((FIRST, "m, input", "$1")),
    "a CSV with too many cells": b"start_time,amount_value\n2026-03-03,1,2,3\n",
    "a CSV over all time": dashboard((date(2015, 1, 2), "m, input", "1"), (date(2099, 1, 1), "m, input", "1")),
    "a CSV with a huge cell": b"start_time,amount_value\n2026-03-03," + b"1" * 200_000,
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_can_t_be_read_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        statement.read([("the file", content)]).sums(FIRST, by_model=True, by_key=True)
    assert "the file" in refused.value.message or "bucket" in refused.value.message
    assert refused.value.message.endswith(".")
    assert len(refused.value.message) < 300


def test_names_are_made_fit_for_a_database() -> None:
    hostile = json.dumps({"line_item": "gpt\u0000-4o\ud800, input"})
    line = cost("m", 1, **json.loads(hostile))
    assert costs_of(page(bucket(FIRST, line))) == {"gpt-4o": 10**9}


def test_no_files_and_sums_beyond_reason() -> None:
    with pytest.raises(Unreadable):
        statement.read([])
    lines = [cost("m", 10**9)] * 2
    with pytest.raises(Unreadable, match="more than 1,000,000,000 dollars"):
        costs_of(page(bucket(FIRST, *lines)))
