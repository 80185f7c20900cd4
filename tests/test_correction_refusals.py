"""Corrections that make no sense: refused by the product, by the database, and found by the audit."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from billing import closing, corrections, pricing
from billing.audit import Audit
from billing.models import Act, BudgetPeriod, Hold, Price, UsageRecord
from tests.calls import NOON, hold, make_price, settle, spend

pytestmark = pytest.mark.django_db

RIGHT = pricing.Tokens(input=500, output=100)


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


@pytest.fixture
def record(alice: User, price: Price) -> UsageRecord:
    return spend(user=alice, price=price)


def everything() -> tuple[int, int, list[int]]:
    spent = BudgetPeriod.objects.order_by("pk").values_list("spent", flat=True)
    return UsageRecord.objects.count(), Act.objects.count(), list(spent)


def refused(act: Any, **arguments: Any) -> str:
    before = everything()
    with pytest.raises(corrections.NotCorrectable) as refusal:
        act(**arguments)
    assert everything() == before
    assert refusal.value.status == 400
    return refusal.value.message


def test_each_act_needs_a_reason(record: UsageRecord, alice: User, staff: User) -> None:
    why = {"by": staff, "reason": "  ", "now": NOON}
    for act, arguments in (
        (corrections.reverse, {"record": record}),
        (corrections.correct, {"record": record, "tokens": RIGHT}),
        (corrections.adjust, {"user": alice, "amount": 5}),
        (corrections.grant_credit, {"user": alice, "amount": 5}),
        (corrections.write_off, {"user": alice, "amount": 5}),
    ):
        assert refused(act, **arguments, **why).startswith("Say why")


def test_what_makes_no_sense_is_refused(alice: User, price: Price, staff: User) -> None:
    why = {"by": staff, "reason": "x", "now": NOON}
    held = hold(user=alice, price=price)
    assert "not ended yet" in refused(corrections.reverse, record=held, **why)
    for amount in (0, -1, 10**18 + 1):
        assert "above zero" in refused(corrections.grant_credit, user=alice, amount=amount, **why)
        assert "above zero" in refused(corrections.write_off, user=alice, amount=amount, **why)
    for amounts in (
        {},
        {"amount": 0},
        {"tokens": RIGHT},
        {"price": price},
        {"tokens": RIGHT, "price": price, "amount": 1},
    ):
        assert "either tokens and a price" in refused(corrections.adjust, user=alice, **amounts, **why)
    settled = settle(held)
    reversal = corrections.reverse(record=settled, **why)
    assert "can't be taken back" in refused(corrections.reverse, record=reversal, **why)
    credit = corrections.grant_credit(user=alice, amount=1, **why)
    assert "no call behind it" in refused(corrections.correct, record=credit, tokens=RIGHT, **why)


def test_a_month_that_is_closed_meanwhile_takes_nothing(
    record: UsageRecord, alice: User, price: Price, staff: User
) -> None:
    closing.close(month=NOON.date(), by=staff, now=NOON + timedelta(days=30))
    why = {"by": staff, "reason": "x", "now": NOON}
    for act, arguments in (
        (corrections.reverse, {"record": record}),
        (corrections.correct, {"record": record, "tokens": RIGHT}),
        (corrections.adjust, {"user": alice, "tokens": RIGHT, "price": price}),
        (corrections.grant_credit, {"user": alice, "amount": 5}),
        (corrections.write_off, {"user": alice, "amount": 5}),
    ):
        assert "has ended and is closed. Nothing was booked" in refused(act, **arguments, **why)


@pytest.mark.parametrize(
    "change",
    [
        {"corrects": None},
        {"reason": ""},
        {"booked_by": None},
        {"hold": 1},
        {"kind": "call"},
        {"kind": "credit"},
        {"state": "held", "settled_at": None},
        {"input_tokens": 1},
        {"reasoning_tokens": -600},
    ],
)
def test_the_database_refuses_a_correction_that_makes_no_sense(
    record: UsageRecord, staff: User, change: dict[str, object]
) -> None:
    reversal = corrections.reverse(record=record, by=staff, reason="x", now=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        UsageRecord.objects.filter(pk=reversal.pk).update(**change)


@pytest.mark.parametrize("kind", ["call", "replacement"])
def test_the_database_refuses_a_call_below_zero(record: UsageRecord, staff: User, kind: str) -> None:
    corrections.correct(record=record, tokens=RIGHT, by=staff, reason="x", now=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        UsageRecord.objects.filter(kind=kind).update(cost=-1)


# What the audit finds


def found() -> str:
    return "\n".join(Audit().differences())


def test_the_audit_finds_a_correction_that_does_not_fit(
    record: UsageRecord, alice: User, bob: User, staff: User
) -> None:
    reversal, replacement = corrections.correct(record=record, tokens=RIGHT, by=staff, reason="x", now=NOON)
    assert reversal is not None
    assert found() == ""
    UsageRecord.objects.filter(pk=reversal.pk).update(calls=0)
    assert f"Usage record {reversal.pk} is no negated copy of what it takes back." in found()
    UsageRecord.objects.filter(pk=reversal.pk).update(calls=-1)
    UsageRecord.objects.filter(pk=replacement.pk).update(user=bob)
    assert f"Usage record {replacement.pk} is not of the call that it replaces." in found()
    UsageRecord.objects.filter(pk=replacement.pk).update(user=alice)
    Hold.objects.filter(record=replacement, period__budget__period="month").delete()
    assert f"Usage record {replacement.pk} is missing in a budget period of its original that was running." in found()
    assert "its settled records say" in found()


def test_the_audit_finds_a_correction_in_a_period_that_had_ended(record: UsageRecord, alice: User, staff: User) -> None:
    reversal = corrections.reverse(record=record, by=staff, reason="x", now=NOON + timedelta(days=1))
    ended = BudgetPeriod.objects.get(budget__user=alice, budget__period="day")
    Hold.objects.create(record=reversal, period=ended)
    BudgetPeriod.objects.filter(pk=ended.pk).update(spent=0)
    assert found() == (
        f"Usage record {reversal.pk} counts in a budget period that had ended, or that its original does not count in."
    )


def test_the_audit_finds_a_write_off_in_a_budget(record: UsageRecord, alice: User, staff: User) -> None:
    written_off = corrections.write_off(user=alice, amount=1, by=staff, reason="x", now=NOON)
    period = BudgetPeriod.objects.get(budget__user=alice, budget__period="day")
    Hold.objects.create(record=written_off, period=period)
    BudgetPeriod.objects.filter(pk=period.pk).update(spent=record.cost - 1)
    assert found() == f"Usage record {written_off.pk} counts in a budget, and should not."
