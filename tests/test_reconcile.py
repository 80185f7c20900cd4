"""Reconciliation: what differs between the provider's figures and our records, and what a person may book of it."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import User
from billing import corrections, ledger, money, pricing
from billing.audit import Audit
from billing.models import ModelAlias, Price, Proposal, Reconciliation, UsageRecord
from billing.reconciliation import Result, Unreadable, ours, reconcile, runs
from tests.calls import at_once, hold, make_price, settle
from tests.invoices import Figures, Used, bucket, cost, dashboard, files, page, usage
from tests.locks import until_somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2026, 3, 3)
NEXT = date(2026, 3, 4)
LATER = datetime(2026, 3, 20, 9, tzinfo=UTC)
KEY, OTHER_KEY = "aaaaaaaaaaaa", "bbbbbbbbbbbb"


@pytest.fixture
def price() -> Price:
    """$1 a million input, $0.10 cached, $2 output."""
    return make_price(model="gpt-4o")


def call(user: User, price: Price, *, at: datetime | None = None, key: str = KEY, measured: str = "provider",
         released: bool = False, taken: int = 1000, given: int = 500, cached: int = 0) -> UsageRecord:  # fmt: skip
    now = at or datetime(2026, 3, 3, 10, tzinfo=UTC)
    record = hold(user=user, price=price, now=now, input_tokens=taken + 10, output_cap=given + 10)
    UsageRecord.objects.filter(pk=record.pk).update(key_fingerprint=key)
    record.refresh_from_db()
    if released:
        return ledger.release(record=record, outcome="failed", provider_request_id="", now=now)
    tokens = pricing.Tokens(input=taken, output=given, cached_input=cached)
    return ledger.settle(
        record=record, tokens=tokens, outcome="complete", measured=measured, usage=None, provider_request_id="", now=now
    )


def compared(figures: Figures, first: date = DAY, last: date = DAY, **keys: str) -> Result:
    return reconcile(files=files(figures, first, last), first=first, last=last, keys=keys)


def kept(figures: Figures, by: User, first: date = DAY, last: date = DAY) -> Reconciliation:
    return runs.run(
        files=files(figures, first, last), first=first, last=last, keys={}, by=by, clock=lambda: LATER
    )  # fmt: skip


def book_all(run: Reconciliation, by: User, now: datetime = LATER) -> runs.Booked:
    return runs.book(
        reconciliation=run, proposals=[proposal.pk for proposal in run.proposals.all()], by=by, now=now,
        reason="The provider's invoice.",
    )  # fmt: skip


def kinds(result: Result) -> list[str]:
    return [difference.kind.value for difference in result.differences]


def clean_after_booking(figures: Figures, by: User, first: date = DAY, last: date = DAY) -> Reconciliation:
    run = kept(figures, by, first, last)
    assert book_all(run, by).refused == []
    assert compared(figures, first, last).differences == []
    assert list(Audit().differences()) == []
    return run


SAME = Used(calls=1, input=1000, output=500, dollars="0.002")


def test_what_agrees_has_no_differences(alice: User, price: Price) -> None:
    call(alice, price)
    call(alice, price, released=True)
    result = compared({DAY: {("gpt-4o", "key_1"): SAME}}, DAY, NEXT)
    assert result.differences == []
    assert result.sentence == "2 of the 2 days were compared: no differences."
    assert result.notes == ["The provider's key key_1 is taken for ours, aaaaaaaaaaaa: there is one on each side."]


def test_where_nothing_is_compared_nothing_is_said_of_differences(alice: User, price: Price) -> None:
    call(alice, price)
    day, later = {DAY: {("gpt-4o", None): SAME}}, NEXT + timedelta(days=1)
    nothing = "Nothing could be compared. Give files that have these days, or choose days that the files have."
    given = files(day, DAY, DAY)
    elsewhere = reconcile(files=given, first=NEXT, last=later)
    assert elsewhere.sentence == nothing
    assert reconcile(files=given, first=NEXT, last=NEXT).sentence == nothing
    one = reconcile(files=given, first=DAY, last=later)
    assert one.sentence == "1 of the 3 days was compared: no differences."
    assert compared(day).sentence == "The day was compared: no differences."


def test_what_the_files_are_of_is_kept(alice: User, price: Price) -> None:
    call(alice, price)
    costs, used = files({DAY: {("gpt-4o", None): SAME}}, DAY, DAY)
    for these, said in (([costs], ["costs"]), ([used], ["usage"]), ([costs, used], ["costs", "usage"])):
        assert reconcile(files=these, first=DAY, last=DAY).report()["given"] == said


def test_dated_names_and_float_noise_are_no_differences(alice: User, price: Price) -> None:
    ModelAlias.objects.create(alias="gpt-4o-2024-08-06", model="gpt-4o")
    call(alice, price)
    noisy = SAME._replace(dollars="0.00200000000000000004163336")
    assert compared({DAY: {("gpt-4o-2024-08-06", None): noisy}}).differences == []
    unknown = compared({DAY: {("gpt-4o-2031-01-01", None): SAME._replace(dollars="0.002000999")}})
    assert unknown.differences == []
    assert unknown.notes == [
        "gpt-4o-2031-01-01 is no alias that we know; it is taken for gpt-4o.",
        "Rounding on both sides makes $0.000000999 in all.",
    ]


def test_calls_that_we_lack_are_booked_for_nobody_in_particular(alice: User, staff: User, price: Price) -> None:
    call(alice, price)
    figures = {DAY: {("gpt-4o", "key_1"): Used(calls=3, input=4000, output=700, cached=200, dollars="0.00522")}}
    result = compared(figures)
    assert kinds(result) == ["calls that we lack"]
    assert result.differences[0].sentence == (
        "2026-03-03, gpt-4o, key aaaaaaaaaaaa: the provider has 2 calls that we lack "
        "(3,000 input, 200 cached input, 200 output tokens)."
    )
    run = clean_after_booking(figures, staff)
    added = UsageRecord.objects.get(kind="adjustment")
    assert (added.user.email, added.calls, added.model, added.cost) == ("nobody@invalid", 2, "gpt-4o", 3_220_000)
    assert (added.key_fingerprint, added.booked_by) == (KEY, staff)
    assert added.reason == "The provider's invoice. (the provider's figures of 2026-03-03)"
    assert added.spend_date == date(2026, 3, 20), "in the month that is open, not in the one that it is about"
    assert run.proposals.get().booked == added


def test_a_released_call_that_was_charged_after_all_is_named(alice: User, staff: User, price: Price) -> None:
    free = call(alice, price, released=True)
    clean_after_booking({DAY: {("gpt-4o", None): SAME}}, staff)
    replacement = UsageRecord.objects.get(kind="replacement")
    assert (replacement.corrects, replacement.user, replacement.cost) == (free, alice, 2_000_000)


def test_calls_that_they_lack_are_taken_back(alice: User, bob: User, staff: User, price: Price) -> None:
    call(alice, price)
    wrong = call(bob, price, taken=777)
    result = compared({DAY: {("gpt-4o", None): SAME}})
    assert kinds(result) == ["calls that they lack"]
    assert "we have 1 call that the provider lacks (777 input, 500 output tokens)." in result.differences[0].sentence
    clean_after_booking({DAY: {("gpt-4o", None): SAME}}, staff)
    assert UsageRecord.objects.get(kind="reversal").corrects == wrong


def test_a_day_that_the_provider_counts_as_idle(alice: User, staff: User, price: Price) -> None:
    for _ in range(3):
        call(alice, price)
    assert [len(difference.drafts) for difference in compared({}).differences] == [3]
    clean_after_booking({}, staff)
    assert UsageRecord.objects.filter(kind="reversal").count() == 3


def test_calls_that_nobody_can_point_at_are_one_amount(alice: User, staff: User, price: Price) -> None:
    for _ in range(4):
        call(alice, price)
    figures = {DAY: {("gpt-4o", None): Used(calls=2, input=1999, output=1000, dollars="0.003999")}}
    clean_after_booking(figures, staff)
    adjustment = UsageRecord.objects.get(kind="adjustment")
    assert (adjustment.calls, adjustment.cost, adjustment.price) == (-2, -4_001_000, None)


def test_estimates_are_settled_by_the_provider_s_sum(alice: User, bob: User, staff: User, price: Price) -> None:
    call(alice, price)
    first = call(alice, price, measured="estimated", taken=100, given=10)
    second = call(bob, price, measured="estimated", taken=300, given=20)
    figures = {DAY: {("gpt-4o", None): Used(calls=3, input=1000 + 404, output=500 + 46, dollars="0.002496")}}
    result = compared(figures)
    assert kinds(result) == ["estimates that the provider settles"]
    assert "3 calls on both sides" in result.differences[0].sentence
    assert "2 are estimated" in result.differences[0].sentence
    clean_after_booking(figures, staff)
    replaced = UsageRecord.objects.filter(kind="replacement").order_by("corrects")
    assert [(row.corrects, row.input_tokens, row.output_tokens, row.measured) for row in replaced] == [
        (first, 101, 15, "invoice"), (second, 303, 31, "invoice"),
    ]  # fmt: skip


def test_other_prices_for_the_same_tokens(alice: User, staff: User, price: Price) -> None:
    call(alice, price)
    figures = {DAY: {("gpt-4o", None): SAME._replace(dollars="0.0025")}}
    result = compared(figures)
    assert kinds(result) == ["price"]
    assert result.differences[0].sentence == (
        "2026-03-03, gpt-4o: for the same 1 call and tokens the provider charges $0.0025, our prices say $0.002."
    )
    clean_after_booking(figures, staff)
    assert UsageRecord.objects.get(kind="adjustment").cost == 500_000


def test_tokens_that_differ_without_an_estimate(alice: User, staff: User, price: Price) -> None:
    call(alice, price)
    figures = {DAY: {("gpt-4o", None): Used(calls=1, input=1200, output=400, dollars="0.002")}}
    assert kinds(compared(figures)) == ["tokens"]
    run = clean_after_booking(figures, staff)
    assert [proposal.act for proposal in run.proposals.all()] == ["note"], "the money is the same"
    assert not UsageRecord.objects.exclude(kind="call").exists()


def test_costs_alone_and_usage_alone(alice: User, staff: User, price: Price) -> None:
    call(alice, price)
    csv = [("costs.csv", dashboard((DAY, "gpt-4o, input", "0.001"), (DAY, "gpt-4o, output", "0.0012")))]
    result = reconcile(files=csv, first=DAY, last=DAY)
    assert kinds(result) == ["cost"]
    assert "only the usage file can tell" in result.differences[0].sentence
    run = runs.run(files=csv, first=DAY, last=DAY, keys={}, by=staff, clock=lambda: LATER)
    book_all(run, staff)
    assert reconcile(files=csv, first=DAY, last=DAY).differences == []
    used = [("usage.json", page(bucket(DAY, usage("gpt-4o", Used(1, 1000, 600)))))]
    again = reconcile(files=used, first=DAY, last=DAY)
    assert kinds(again) == ["tokens"]
    assert again.differences[0].drafts[0].figures.cost == 200_000


@pytest.mark.parametrize("before", [{"measured": "estimated"}, {"released": True}])
def test_more_tokens_than_a_record_can_have_are_one_amount(
    alice: User, staff: User, price: Price, before: dict[str, Any]
) -> None:
    call(alice, price, **before)
    figures = {DAY: {("gpt-4o", None): Used(calls=1, input=3 * 10**9, output=500, dollars="3000.001")}}
    run = clean_after_booking(figures, staff)
    assert [(proposal.act, proposal.calls) for proposal in run.proposals.all()] == [
        ("adjust", 1 if "released" in before else 0)
    ]


def test_an_amount_that_can_t_be_booked_is_not_proposed(alice: User, staff: User) -> None:
    make_price(model="gpt-4o", input_price=10**11)
    used = [("usage.json", page(bucket(DAY, usage("gpt-4o", Used(1, 10**15, 0)))))]
    run = runs.run(files=used, first=DAY, last=DAY, keys={}, by=staff, clock=lambda: LATER)
    assert [row["kind"] for row in run.report["differences"]] == ["calls that we lack"]
    assert not run.proposals.exists()


def test_a_model_that_nobody_here_has_a_price_for(alice: User, staff: User, price: Price) -> None:
    used = [("usage.json", page(bucket(DAY, usage("o9", Used(1, 1000, 600)))))]
    result = reconcile(files=used, first=DAY, last=DAY)
    assert result.differences[0].drafts == []
    assert "there is no price for it here" in result.differences[0].sentence
    clean_after_booking({DAY: {("o9", None): Used(1, 1000, 600, dollars="0.07")}}, staff)
    booked = UsageRecord.objects.get()
    assert (booked.model, booked.calls, booked.cost) == ("o9", 1, 70_000_000)


def test_keys_are_told_apart_where_somebody_says_which_is_which(alice: User, price: Price) -> None:
    call(alice, price)
    call(alice, price, key=OTHER_KEY)
    figures = {DAY: {("gpt-4o", "key_1"): SAME, ("gpt-4o", "key_2"): SAME._replace(dollars="0.003")}}
    together = compared(figures)
    assert [difference.group.key for difference in together.differences] == [""]
    assert "all keys are compared as one" in together.notes[0]
    apart = compared(figures, key_1=KEY, key_2=OTHER_KEY)
    assert [difference.group.key for difference in apart.differences] == [OTHER_KEY]
    foreign = {DAY: {**figures[DAY], ("gpt-4o", "key_of_another_product"): SAME}}
    third = compared(foreign, key_1=KEY, key_2=OTHER_KEY)
    assert [(row["key"], row["kind"]) for row in third.rows()] == [
        (OTHER_KEY, "price"), ("key_of_another_product", "calls that we lack"),
    ]  # fmt: skip


def test_a_file_that_is_not_grouped_is_compared_as_one(alice: User, price: Price) -> None:
    call(alice, price)
    call(alice, make_price(model="other"))
    content = page(bucket(DAY, cost(None, 0.004)))
    result = reconcile(files=[("costs.json", content)], first=DAY, last=DAY)
    assert result.differences == []
    assert "all models are compared as one" in result.notes[0]


def test_days_are_utc_whatever_the_billing_zone(alice: User, price: Price, settings: Any) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo("America/Los_Angeles")
    record = call(alice, price, at=datetime(2026, 3, 4, 3, tzinfo=UTC))
    assert record.spend_date == DAY, "in Los Angeles it is still the 3rd"
    result = compared({NEXT: {("gpt-4o", None): SAME}}, DAY, NEXT)
    assert result.differences == []
    assert "the spend dates of the reports are of America/Los_Angeles" in result.notes[0]
    assert compared({DAY: {("gpt-4o", None): SAME}}, DAY, NEXT).differences == [], "around midnight: see below"


def test_calls_around_midnight_are_named_and_not_booked(alice: User, price: Price) -> None:
    call(alice, price, at=datetime(2026, 3, 3, 23, 59, 59, tzinfo=UTC))
    call(alice, price, at=datetime(2026, 3, 3, 12, tzinfo=UTC))
    result = compared({DAY: {("gpt-4o", None): SAME}, NEXT: {("gpt-4o", None): SAME}}, DAY, NEXT)
    assert result.differences == []
    assert "these are calls around midnight" in result.notes[-1]
    dearer = {DAY: {("gpt-4o", None): SAME}, NEXT: {("gpt-4o", None): SAME._replace(dollars="0.003")}}
    priced = compared(dearer, DAY, NEXT)
    assert [(difference.group.day, difference.drafts[0].figures.cost) for difference in priced.differences] == [
        (NEXT, 1_000_000)
    ]


def test_a_clipped_day_is_compared_as_far_as_it_goes_and_a_missing_one_not(alice: User, price: Price) -> None:
    call(alice, price, at=datetime(2026, 3, 3, 9, tzinfo=UTC))
    call(alice, price, at=datetime(2026, 3, 3, 15, tzinfo=UTC))
    content = page(bucket(DAY, usage("gpt-4o", SAME), start=14))
    result = reconcile(files=[("usage.json", content)], first=date(2026, 3, 2), last=DAY)
    assert result.differences == []
    assert result.days == 1
    assert result.notes[:2] == [
        "The files have nothing of 2026-03-02: not compared. An idle day is an empty bucket.",
        "Of 2026-03-03 the files have 14:00 to 24:00 UTC; so much of it is compared.",
    ]
    assert kinds(reconcile(files=[("u", page(bucket(DAY, usage("gpt-4o", SAME))))], first=DAY, last=DAY)) == [
        "calls that they lack"
    ]


def test_corrections_count_on_the_day_of_the_call_and_credit_not_at_all(alice: User, staff: User, price: Price) -> None:
    record = call(alice, price)
    _, once = corrections.correct(
        record=record, tokens=pricing.Tokens(input=900, output=500), by=staff, reason="Wrong.", now=LATER
    )  # fmt: skip
    corrections.correct(
        record=once, tokens=pricing.Tokens(input=1000, output=500), by=staff, reason="Right at first.",
        now=LATER + timedelta(days=30),
    )  # fmt: skip
    corrections.grant_credit(user=alice, amount=10**9, by=staff, reason="Sorry.", now=LATER)
    corrections.write_off(user=alice, amount=10**9, by=staff, reason="Sorry.", now=LATER)
    corrections.adjust(user=alice, amount=10**9, by=staff, reason="By hand.", now=LATER.replace(day=3))
    assert compared({DAY: {("gpt-4o", None): SAME}}).differences == []
    assert "booked by hand" in compared({DAY: {("gpt-4o", None): SAME}}).notes[-1]


def test_a_proposal_is_booked_once_and_only_the_newest(alice: User, staff: User, price: Price) -> None:
    call(alice, price)
    figures = {DAY: {("gpt-4o", None): SAME._replace(dollars="0.0025")}}
    old, new = kept(figures, staff), kept(figures, staff)
    late = book_all(old, staff)
    assert (late.count, len(late.refused)) == (0, 1)
    assert "a newer comparison has replaced it" in late.refused[0]
    assert book_all(new, staff).count == 1
    assert book_all(new, staff).count == 0
    assert UsageRecord.objects.filter(kind="adjustment").count() == 1
    with pytest.raises(corrections.NotCorrectable):
        runs.book(reconciliation=new, proposals=[], by=staff, reason=" ", now=LATER)


def test_who_book_the_same_at_once_book_it_once(alice: User, staff: User, price: Price) -> None:
    call(alice, price, measured="estimated")
    call(alice, price, at=datetime(2026, 3, 4, 10, tzinfo=UTC))
    more = SAME._replace(input=1200, dollars="0.0025")
    figures = {day: {("gpt-4o", None): more} for day in (DAY, NEXT)}
    run = kept(figures, staff, DAY, NEXT)
    proposed = run.proposals.count()
    assert proposed > 2, "corrections and adjustments"
    counts = at_once(lambda _number: str(book_all(run, staff).count), 4)
    assert sum(map(int, counts)) == proposed
    assert not run.open().exists()
    assert compared(figures, DAY, NEXT).differences == []
    assert list(Audit().differences()) == []


@pytest.mark.only("scaled")  # SQLite has one writer at a time
def test_a_comparison_waits_for_who_is_just_booking(alice: User, staff: User, price: Price) -> None:
    call(alice, price)
    figures = {DAY: {("gpt-4o", None): SAME._replace(dollars="0.0025")}}
    old = kept(figures, staff)

    def compare() -> Reconciliation:
        try:
            return kept(figures, staff)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert book_all(old, staff).count == 1
            comparing = pool.submit(compare)
            until_somebody_waits()
        assert not comparing.result().proposals.exists(), "what it saw before is not proposed once more"
    assert compared(figures).differences == []


def test_what_was_corrected_meanwhile_is_refused_whole(alice: User, staff: User, price: Price) -> None:
    record = call(alice, price, measured="estimated")
    run = kept({DAY: {("gpt-4o", None): SAME._replace(input=1200, dollars="0.0022")}}, staff)
    corrections.reverse(record=record, by=staff, reason="By hand.", now=LATER)
    before = UsageRecord.objects.count()
    done = book_all(run, staff)
    assert "corrected by hand since" in done.refused[0]
    assert UsageRecord.objects.count() == before
    assert run.proposals.get().state == "open"


@pytest.mark.parametrize("ahead", [-30, 30])
def test_what_was_put_right_by_hand_meanwhile_is_not_booked_again(
    alice: User, staff: User, price: Price, ahead: int
) -> None:
    """An amount for nobody in particular names no record that could be found corrected; whatever the clocks say."""
    wrong = call(alice, price)
    call(alice, price, at=datetime(2026, 3, 4, 10, tzinfo=UTC))
    more = SAME._replace(input=1200, dollars="0.0022")
    figures = {day: {("gpt-4o", None): more} for day in (DAY, NEXT)}
    run = kept(figures, staff, DAY, NEXT)
    right = pricing.Tokens(input=1200, output=500)
    corrections.correct(record=wrong, tokens=right, by=staff, reason="x", now=LATER + timedelta(seconds=ahead))
    done = book_all(run, staff)
    assert (done.count, len(done.refused)) == (1, 1), "the other day is as it was"
    assert "of that day was corrected by hand since. Compare again." in done.refused[0]
    assert compared(figures, DAY, NEXT).differences == []
    assert list(Audit().differences()) == []


def test_booking_looks_for_corrections_by_hand_once_a_day_while_nobody_else_books(
    alice: User, bob: User, staff: User, price: Price
) -> None:
    """Each look reads what was corrected of the day by then, so one for each proposal would grow as their square."""
    for at in (10, 11, 12):
        call(alice, price, at=datetime(2026, 3, 3, at, tzinfo=UTC))
        call(alice, price, at=datetime(2026, 3, 4, at, tzinfo=UTC))
    run = kept({}, staff, DAY, NEXT)
    proposals = list(run.proposals.order_by("pk"))
    assert [proposal.day for proposal in proposals] == [DAY] * 3 + [NEXT] * 3

    def looks(wanted: list[Proposal]) -> int:
        with CaptureQueriesContext(connection) as asked:
            done = runs.book(
                reconciliation=run, proposals=[each.pk for each in wanted], by=staff, reason="They lack it.", now=LATER
            )
        assert (done.count, done.refused) == (len(wanted), [])
        return sum("spend_date" in query["sql"] and "INNER JOIN" in query["sql"] for query in asked)

    assert looks(proposals[:2] + proposals[3:5]) == 2
    corrections.grant_credit(user=bob, amount=5, by=staff, reason="sorry", now=LATER)
    assert looks(proposals[2:3] + proposals[5:]) == 2, "another look, since something else was booked"
    assert compared({}, DAY, NEXT).differences == []


@pytest.mark.only("scaled")  # SQLite has one writer at a time
def test_what_is_put_right_by_hand_in_the_middle_of_a_booking_is_not_booked_again(
    alice: User, staff: User, price: Price
) -> None:
    """It commits once the booking has begun, which then waits at its first proposal."""
    wrong = call(alice, price)
    call(alice, price, at=datetime(2026, 3, 4, 10, tzinfo=UTC))
    figures = {day: {("gpt-4o", None): SAME._replace(input=1200, dollars="0.0022")} for day in (DAY, NEXT)}
    run = kept(figures, staff, DAY, NEXT)

    def book() -> runs.Booked:
        try:
            return book_all(run, staff)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            right = pricing.Tokens(input=1200, output=500)
            corrections.correct(record=wrong, tokens=right, by=staff, reason="By hand.", now=LATER)
            list(run.proposals.select_for_update())
            booking = pool.submit(book)
            until_somebody_waits()
        done = booking.result()
    assert (done.count, len(done.refused)) == (1, 1), "the other day is as it was"
    assert "of that day was corrected by hand since. Compare again." in done.refused[0]
    assert compared(figures, DAY, NEXT).differences == []
    assert list(Audit().differences()) == []


def test_a_correction_by_hand_during_a_comparison_makes_it_compare_again(
    alice: User, staff: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = call(alice, price)
    tries: list[Result] = []

    def meanwhile(**given: Any) -> Result:
        tries.append(reconcile(**given))
        if len(tries) == 1:  # somebody corrects after the snapshot was taken
            corrections.reverse(record=wrong, by=staff, reason="By hand.", now=LATER)
        return tries[-1]

    monkeypatch.setattr(runs, "reconcile", meanwhile)
    again = kept({DAY: {}}, staff)
    assert [len(result.differences) for result in tries] == [1, 0]
    assert not again.proposals.exists()


def test_by_hand_is_what_no_proposal_stands_for(alice: User, staff: User, price: Price) -> None:
    """What is booked from proposals makes no other proposal of the day stale; what is done about it by hand does."""
    records = [call(alice, price, measured="estimated") for _ in range(3)]
    figures = {DAY: {("gpt-4o", None): Used(calls=3, input=3600, output=1500, dollars="0.0076")}}
    run = kept(figures, staff)
    for proposal in run.proposals.all():
        assert runs.book(
            reconciliation=run, proposals=[proposal.pk], by=staff, reason="x", now=LATER
        ).refused == []  # fmt: skip
    assert ours.by_hand(first=DAY, last=DAY) == {}
    booked = UsageRecord.objects.get(corrects=records[0], kind="replacement")
    corrections.reverse(record=booked, by=staff, reason="x", now=LATER)
    assert ours.by_hand(first=DAY, last=DAY) == {"2026-03-03": 1}
    corrections.correct(
        record=booked, tokens=pricing.Tokens(input=1, output=1), by=staff, reason="x", now=LATER, restore=True
    )  # fmt: skip
    assert ours.by_hand(first=DAY, last=DAY) == {"2026-03-03": 2}
    assert ours.by_hand(first=NEXT, last=NEXT) == {}


def test_an_adjustment_that_was_taken_back_by_hand_counts_too(alice: User, staff: User, price: Price) -> None:
    clean_after_booking({DAY: {("gpt-4o", None): SAME}}, staff)
    corrections.reverse(
        record=UsageRecord.objects.get(kind="adjustment"), by=staff, reason="x", now=LATER
    )  # fmt: skip
    assert ours.by_hand(first=DAY, last=DAY) == {"2026-03-03": 1}


@pytest.mark.parametrize("day", [DAY, NEXT])
def test_a_call_that_has_not_ended_is_not_one_that_we_lack(alice: User, staff: User, price: Price, day: date) -> None:
    """The provider may have counted it; a proposal to book it for nobody would be it a second time."""
    at = datetime(2026, 3, 3, 23, 59, 59, tzinfo=UTC)
    running = hold(user=alice, price=price, now=at)
    call(alice, price, at=at + timedelta(days=2))
    last = DAY + timedelta(days=2)
    figures: Figures = {counted: {("gpt-4o", None): SAME} for counted in (day, last)}
    run = kept(figures, staff, DAY, last)
    assert run.report["notes"][0].startswith(
        "1 call of 2026-03-03 has not ended yet, so that day and the next are not compared."
    )
    assert run.report["sentence"] == "1 of the 3 days was compared: no differences."
    assert compared(figures, at.date(), at.date()).sentence == (
        "Nothing could be compared yet, as calls have not ended. Compare again in a few minutes."
    )
    assert not run.proposals.exists()
    settle(running, now=at + timedelta(minutes=1))
    assert kept(figures, staff, DAY, last).report["sentence"] == "3 of the 3 days were compared: no differences."


def test_what_is_kept_of_a_comparison_names_no_person(alice: User, staff: User, price: Price) -> None:
    call(alice, price, measured="estimated")
    lacking = kept({DAY: {}}, staff)
    other = kept({DAY: {("gpt-4o", None): SAME._replace(input=1200, dollars="0.0022")}}, staff)
    for run in (lacking, other):
        assert run.proposals.get().record == UsageRecord.objects.get()
        for text in (run.proposals.get().sentence, json.dumps(run.report)):
            assert alice.get_full_name() not in text, "who can ask to be forgotten"


@pytest.mark.parametrize("ahead", [-30, 30])
def test_a_booking_during_a_comparison_makes_it_compare_again(
    alice: User, staff: User, price: Price, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """Whatever the clocks say: what is booked has the instant at which its request began, on whichever machine."""
    call(alice, price)
    figures = {DAY: {("gpt-4o", None): SAME._replace(dollars="0.0025")}}
    old = kept(figures, staff)
    tries: list[Result] = []

    def meanwhile(**given: Any) -> Result:
        tries.append(reconcile(**given))
        if len(tries) == 1:  # somebody books after the snapshot was taken
            book_all(old, staff, now=LATER + timedelta(seconds=ahead))
        return tries[-1]

    monkeypatch.setattr(runs, "reconcile", meanwhile)
    again = kept(figures, staff)
    assert [len(result.differences) for result in tries] == [1, 0]
    assert not again.proposals.exists()
    assert Reconciliation.objects.count() == 2
    assert UsageRecord.objects.filter(kind="adjustment").count() == 1


def test_of_two_comparisons_at_once_one_has_open_proposals(
    alice: User, staff: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(alice, price)
    figures = {DAY: {("gpt-4o", None): SAME._replace(dollars="0.0025")}}
    quick = runs._proposal

    def slowly(*given: Any) -> Proposal:
        time.sleep(0.5)  # the other has replaced what it saw by then
        return quick(*given)

    monkeypatch.setattr(runs, "_proposal", slowly)
    at_once(lambda _number: str(kept(figures, staff).pk), 2)
    assert sorted(Proposal.objects.values_list("state", flat=True)) == ["open", "replaced"]


@pytest.mark.parametrize(("first", "last"), [(NEXT, DAY), (DAY, DAY + timedelta(days=400))])
def test_days_that_make_no_sense(first: date, last: date) -> None:
    with pytest.raises(Unreadable, match="at most 400 days"):
        reconcile(files=[("a", page(bucket(DAY)))], first=first, last=last)


def test_reading_takes_as_many_queries_for_many_calls(
    alice: User, price: Price, django_assert_max_num_queries: Any
) -> None:
    for number in (1, 40):
        for _ in range(number):
            call(alice, price)
        total = UsageRecord.objects.count()
        figures = {DAY: {("gpt-4o", None): Used(total, 1000 * total, 500 * total, dollars=f"{0.002 * total:.4f}")}}
        with django_assert_max_num_queries(12):
            assert compared(figures).differences == []


OFF = st.integers(-2, 3)


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(seed=st.integers(0, 10**9), noise=st.lists(st.tuples(OFF, OFF, OFF, OFF, OFF), min_size=6, max_size=6))
def test_booking_all_proposals_leaves_nothing_to_book(
    alice: User, bob: User, staff: User, seed: int, noise: list[tuple[int, ...]]
) -> None:
    """Whatever our history and whatever the provider says: afterwards both agree, and the ledger is sound."""
    draw = random.Random(seed)
    # The days of each example are its own: records are never deleted.
    first = date(2020, 1, 1) + timedelta(days=3 * UsageRecord.objects.count())
    span = [first, first + timedelta(days=1)]
    prices = [Price.objects.filter(model=name).first() or make_price(model=name) for name in ("gpt-4o", "o1", "mini")]
    for day in span:
        for _ in range(draw.randint(0, 6)):
            at = datetime(day.year, day.month, day.day, draw.randrange(24), draw.randrange(60), tzinfo=UTC)
            record = call(
                draw.choice([alice, bob]), draw.choice(prices), at=at, taken=draw.randint(20, 900),
                given=draw.randint(0, 40), cached=draw.randint(0, 20), released=draw.random() < 0.15,
                measured=draw.choice(["provider", "estimated"]),
            )  # fmt: skip
            if record.state == "settled" and draw.random() < 0.2:
                corrections.reverse(record=record, by=staff, reason="By hand.", now=LATER)
    figures: dict[date, dict[tuple[str, str | None], Used]] = {day: {} for day in span}
    for (day, model), (calls, taken, given_, cached, cents) in zip(
        [(day, model) for day in span for model in ("gpt-4o", "o1", "mini")], noise, strict=True
    ):
        rows = UsageRecord.objects.filter(held_at__date=day, model=model, state="settled", kind="call")
        counted = list(rows.filter(corrections=None).values_list("calls", "input_tokens", "output_tokens", "cost"))
        mine = [sum(row[number] for row in counted) for number in range(4)]
        total = max(0, mine[0] + calls)
        theirs = Used(
            calls=total, input=max(0, mine[1] + 25 * taken), output=max(0, mine[2] + 3 * given_), cached=0,
            dollars=str(max(0, money.to_dollars(mine[3]) + money.to_dollars(cents * 7_777))),
        )  # fmt: skip
        theirs = theirs._replace(cached=min(theirs.input, max(0, cached * 5)))
        if total or theirs.input:
            figures[day][model, "key_1"] = theirs
    run = kept(figures, staff, *span)
    assert book_all(run, staff).refused == []
    after = compared(figures, *span)
    assert after.differences == [], (run.report, after.rows())
    assert list(Audit().differences()) == []


def test_the_books_of_proposals_are_kept(alice: User, staff: User, price: Price) -> None:
    settle(hold(user=alice, price=price))
    run = kept({DAY: {("gpt-4o", None): SAME}}, staff)
    assert [file["name"] for file in run.files] == ["costs.json", "usage.json"]
    assert all(len(file["sha256"]) == 64 for file in run.files)
    assert Proposal.objects.get().state == "open"
