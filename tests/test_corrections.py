"""Putting right what was booked: new rows, in the open month, that say what they correct."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from accounts.models import User
from billing import budgets, corrections, enforcement, ledger, pricing, reports, rollup
from billing.audit import Audit
from billing.models import Act, BudgetPeriod, DailySpend, Hold, Price, UsageRecord
from billing.selection import Selection
from tests.calls import NOON, at_once, dollars, hold, limit, make_price, spend

pytestmark = pytest.mark.django_db

TOMORROW = NOON + timedelta(days=1)
NEXT_MONTH = NOON + timedelta(days=30)
RIGHT = pricing.Tokens(input=500, output=100, cached_input=100, reasoning=50)
RIGHT_COST = dollars("0.00061")  # 400 × $1 + 100 × $0.10 + 100 × $2, per million


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


@pytest.fixture
def record(alice: User, price: Price) -> UsageRecord:
    return spend(user=alice, price=price)


def spent(user: User | None = None) -> dict[str, int]:
    """What the periods say, by scope, period and first day."""
    rows = BudgetPeriod.objects.select_related("budget").order_by("start")
    if user is not None:
        rows = rows.filter(budget__user=user)
    return {f"{row.budget.scope} {row.budget.period} {row.start:%m-%d}": row.spent for row in rows}


def clean() -> None:
    assert list(Audit().differences()) == []
    rollup.roll_up()
    assert list(Audit().differences()) == []
    total = UsageRecord.objects.filter(state="settled").aggregate(cost=Sum("cost"), calls=Sum("calls"))
    assert DailySpend.objects.aggregate(cost=Sum("cost"), calls=Sum("calls")) == total


def test_a_record_is_taken_back_by_its_negated_copy(record: UsageRecord, alice: User, staff: User) -> None:
    reversal = corrections.reverse(record=record, by=staff, reason="Never sent.", now=TOMORROW)
    assert (reversal.kind, reversal.corrects, reversal.state) == ("reversal", record, "settled")
    assert (reversal.cost, reversal.calls) == (-record.cost, -1)
    assert (reversal.input_tokens, reversal.output_tokens) == (-1000, -500)
    assert (reversal.user, reversal.model, reversal.price) == (alice, "test-model", record.price)
    assert (reversal.spend_date, reversal.held_at) == (TOMORROW.date(), TOMORROW)
    assert (reversal.booked_by, reversal.reason) == (staff, "Never sent.")
    record.refresh_from_db()
    assert record.cost == dollars("0.002"), "the record itself stays"
    clean()
    row = DailySpend.objects.get(spend_date=TOMORROW.date())
    assert (row.calls, row.cost, row.input_tokens) == (-1, -record.cost, -1000)


def test_a_correction_is_a_reversal_and_what_is_right(record: UsageRecord, staff: User) -> None:
    reversal, replacement = corrections.correct(
        record=record, tokens=RIGHT, by=staff, reason="The invoice says so.", now=NOON, usage={"prompt_tokens": 500}
    )  # fmt: skip
    assert reversal is not None
    assert (reversal.cost, replacement.cost) == (-record.cost, RIGHT_COST)
    assert (replacement.kind, replacement.corrects, replacement.calls) == ("replacement", record, 1)
    assert (replacement.measured, replacement.usage) == ("invoice", {"prompt_tokens": 500})
    assert (replacement.cached_input_tokens, replacement.reasoning_tokens) == (100, 50)
    clean()
    act = Act.objects.get()
    assert (act.kind, act.by, act.record, act.reason) == ("correction", staff, replacement, "The invoice says so.")
    assert (act.before, act.after, act.amount) == ("$0.002", "$0.00061", RIGHT_COST - record.cost)


def test_a_correction_may_be_at_another_price(record: UsageRecord, staff: User) -> None:
    other = make_price(model="dear", output_price=dollars("20"))
    _, replacement = corrections.correct(
        record=record, tokens=RIGHT, price=other, by=staff, reason="Batch.", now=NOON
    )  # fmt: skip
    assert (replacement.price, replacement.model) == (other, "test-model")
    assert replacement.cost == dollars("0.00241")
    clean()


def test_the_largest_write_offs_of_all_users_at_once_still_add_up(record: UsageRecord, staff: User) -> None:
    for _ in range(20):
        corrections.write_off(user=record.user, amount=corrections.LARGEST, by=staff, reason="x", now=NOON)
    rollup.roll_up()
    day = Selection(first=NOON.date(), last=NOON.date())
    assert reports.report(selection=day, group_by="user").total.cost == record.cost - 20 * corrections.LARGEST
    assert 500 * corrections.LARGEST * 10 < 2**63, "ten actions on as many users as one takes"
    clean()


def test_what_was_corrected_wrongly_is_corrected_again(record: UsageRecord, staff: User) -> None:
    _, first = corrections.correct(record=record, tokens=RIGHT, by=staff, reason="x", now=NOON)
    with pytest.raises(corrections.NotCorrectable, match="corrected already"):
        corrections.correct(record=record, tokens=RIGHT, by=staff, reason="x", now=NOON)
    with pytest.raises(corrections.NotCorrectable, match="corrected already"):
        corrections.reverse(record=record, by=staff, reason="x", now=NOON)
    _, second = corrections.correct(
        record=first, tokens=pricing.Tokens(input=1, output=1), by=staff, reason="y", now=NOON
    )  # fmt: skip
    assert second.corrects == first
    total = UsageRecord.objects.aggregate(cost=Sum("cost"), calls=Sum("calls"), tokens=Sum("input_tokens"))
    assert total == {"cost": second.cost, "calls": 1, "tokens": 1}
    assert Act.objects.count() == 2, "what was refused left nothing"
    clean()


def test_a_released_call_that_was_charged_after_all_has_no_reversal(alice: User, price: Price, staff: User) -> None:
    released = ledger.release(record=hold(user=alice, price=price), outcome="failed", provider_request_id="", now=NOON)
    with pytest.raises(corrections.NotCorrectable, match="Nothing was charged"):
        corrections.reverse(record=released, by=staff, reason="x", now=NOON)
    reversal, replacement = corrections.correct(record=released, tokens=RIGHT, by=staff, reason="x", now=NOON)
    assert (reversal, replacement.cost) == (None, RIGHT_COST)
    assert UsageRecord.objects.filter(state="settled").aggregate(Sum("calls")) == {"calls__sum": 1}
    with pytest.raises(corrections.NotCorrectable):
        corrections.correct(record=released, tokens=RIGHT, by=staff, reason="x", now=NOON)
    clean()


def test_extra_token_classes_are_taken_back_too(alice: User, staff: User) -> None:
    price = make_price(extra_rates={"input.audio": dollars("40")})
    tokens = pricing.Tokens(input=100, output=10, extra={"input.audio": 60, "output.video": 5})
    record = ledger.settle(
        record=hold(user=alice, price=price), tokens=tokens, outcome="complete", measured="provider", usage=None,
        provider_request_id="", now=NOON,
    )  # fmt: skip
    reversal = corrections.reverse(record=record, by=staff, reason="x", now=NOON)
    assert reversal.extra_tokens == {"input.audio": -60, "output.video": -5}
    assert (reversal.cost, reversal.unpriced_classes) == (-record.cost, "output.video")
    clean()


# Budgets


def test_a_correction_counts_in_the_periods_of_its_original_that_still_run(
    record: UsageRecord, alice: User, staff: User
) -> None:
    corrections.correct(record=record, tokens=RIGHT, by=staff, reason="x", now=TOMORROW)
    assert spent() == {
        "user month 03-01": RIGHT_COST, "user day 03-15": record.cost, "everyone day 03-15": record.cost,
    }  # fmt: skip
    clean()


def test_it_gives_room_at_once_where_the_wrong_charge_took_it(alice: User, price: Price, staff: User) -> None:
    limit(user=alice, day="0.003")
    record = spend(user=alice, price=price)
    with pytest.raises(budgets.BudgetExhausted):
        hold(user=alice, price=price)
    corrections.reverse(record=record, by=staff, reason="x", now=NOON)
    assert hold(user=alice, price=price).hold == dollars("0.002")
    clean()


def test_when_all_its_periods_have_ended_it_counts_in_none(record: UsageRecord, alice: User, staff: User) -> None:
    before = spent()
    reversal = corrections.reverse(record=record, by=staff, reason="x", now=NEXT_MONTH)
    assert spent() == before
    assert not Hold.objects.filter(record=reversal).exists()
    clean()


def test_credit_makes_room_in_the_users_own_running_periods_and_nowhere_else(
    alice: User, price: Price, staff: User
) -> None:
    limit(user=alice, day="0.003")
    spend(user=alice, price=price)
    enforcement.enforce_budgets(now=NOON)
    credit = corrections.grant_credit(user=alice, amount=dollars("0.005"), by=staff, reason="An outage.", now=NOON)
    assert (credit.kind, credit.feature, credit.model, credit.calls) == ("credit", "credit", "", 0)
    assert (credit.cost, credit.price) == (dollars("-0.005"), None)
    assert spent() == {
        "user month 03-01": dollars("-0.003"), "user day 03-15": dollars("-0.003"),
        "everyone day 03-15": dollars("0.002"),
    }  # fmt: skip
    (day, *_) = budgets.standings(user=alice, now=NOON)
    assert day.left == dollars("0.006"), "the limit and what is left of the credit"
    for _ in range(3):
        spend(user=alice, price=price)
    with pytest.raises(budgets.BudgetExhausted):
        hold(user=alice, price=price)
    act = Act.objects.get(kind="credit")
    assert (act.by, act.user, act.amount, act.reason) == (staff, alice, dollars("-0.005"), "An outage.")
    clean()


def test_credit_is_gone_with_its_period(alice: User, staff: User) -> None:
    corrections.grant_credit(user=alice, amount=dollars("1"), by=staff, reason="x", now=NOON)
    day, month, _ = budgets.standings(user=alice, now=TOMORROW)
    assert (day.left, month.left) == (day.limit, month.limit + dollars("1"))


def test_credit_given_by_mistake_is_taken_back(alice: User, staff: User) -> None:
    credit = corrections.grant_credit(user=alice, amount=dollars("1"), by=staff, reason="x", now=NOON)
    back = corrections.reverse(record=credit, by=staff, reason="The wrong Alice.", now=NOON)
    assert back.cost == dollars("1")
    assert set(spent(alice).values()) == {0}
    clean()


def test_a_write_off_and_an_adjustment_count_in_no_budget(record: UsageRecord, alice: User, staff: User) -> None:
    before = spent()
    corrections.write_off(user=alice, amount=dollars("0.001"), by=staff, reason="Goodwill.", now=NOON)
    corrections.adjust(user=alice, amount=dollars("0.5"), by=staff, reason="Rounding.", now=NOON)
    corrections.adjust(
        user=corrections.nobody(), price=record.held_price, tokens=RIGHT, calls=3, key_fingerprint="abc",
        by=staff, reason="Not in our books.", now=NOON,
    )  # fmt: skip
    assert spent() == before
    clean()
    assert list(UsageRecord.objects.order_by("pk").values_list("kind", "calls", "cost", "model")) == [
        ("call", 1, dollars("0.002"), "test-model"),
        ("write_off", 0, dollars("-0.001"), ""),
        ("adjustment", 0, dollars("0.5"), ""),
        ("adjustment", 3, RIGHT_COST, "test-model"),
    ]
    assert list(Act.objects.order_by("pk").values_list("kind", flat=True)) == ["write_off", "adjustment", "adjustment"]


def test_a_correction_upwards_may_pass_the_limit_and_then_nothing_fits(alice: User, price: Price, staff: User) -> None:
    """A fact that a person books is no call: it is booked whole, as a truth above its hold is."""
    limit(user=alice, day="0.003")
    record = spend(user=alice, price=price)
    corrections.correct(
        record=record, tokens=pricing.Tokens(input=9000, output=500), by=staff, reason="x", now=NOON
    )  # fmt: skip
    assert spent(alice)["user day 03-15"] == dollars("0.01")
    with pytest.raises(budgets.BudgetExhausted):
        hold(user=alice, price=price)
    clean()


def test_nobody_may_not_sign_in_and_is_one(db: None) -> None:
    assert corrections.nobody() == corrections.nobody()
    assert (corrections.nobody().is_active, corrections.nobody().has_usable_password()) == (False, False)


@pytest.mark.django_db(transaction=True)
def test_a_record_corrected_by_many_at_once_is_corrected_once(alice: User, staff: User) -> None:
    record = spend(user=alice, price=make_price())

    def one(number: int) -> str:
        mine = UsageRecord.objects.select_related("price", "user").get(pk=record.pk)
        try:
            if number % 2:
                corrections.reverse(record=mine, by=staff, reason="x", now=NOON)
            else:
                corrections.correct(record=mine, tokens=RIGHT, by=staff, reason="x", now=NOON)
        except corrections.NotCorrectable:
            return "too late"
        return "corrected"

    assert sorted(at_once(one, 6)) == ["corrected"] + ["too late"] * 5
    assert UsageRecord.objects.filter(kind="reversal").count() == 1
    assert Act.objects.count() == 1
    clean()
