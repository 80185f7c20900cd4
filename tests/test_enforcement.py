"""Over budget → disabled; new period or raised limit → enabled; staff have the last word."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.statements import run
from billing import bounds, enforcement, prices, tasks
from billing.models import Account, Price
from tests.calls import NOON, at_once, dollars, hold, limit, make_price, settle, spend

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime.fromisoformat("2026-03-16T00:00:00+00:00")
NEXT_MONTH = datetime.fromisoformat("2026-04-01T00:00:00+00:00")


@pytest.fixture
def price(settings: Any) -> Price:
    settings.CHAT_MODELS = {"fast": "test-model", "smart": "test-model"}
    return make_price()


def check(user: User, *, now: datetime = NOON) -> None:
    with transaction.atomic():
        enforcement.check_account(run(*enforcement.locking(user=user))[-1].rows[0], user=user, now=now)


def states() -> dict[str, tuple[str, datetime | None]]:
    return {row.user.name: (row.disabled_by, row.disabled_until) for row in Account.objects.select_related("user")}


def test_a_new_user_may_send(alice: User) -> None:
    check(alice)
    assert states() == {"Alice": ("", None)}
    assert not enforcement.account_state(user=alice, now=NOON).disabled


def test_a_user_without_a_row_may_send(alice: User) -> None:
    assert not enforcement.account_state(user=alice, now=NOON).disabled
    assert states() == {}


@pytest.mark.usefixtures("unprepared")
def test_the_check_locks_the_account_to_the_end_of_the_transaction(alice: User) -> None:
    check(alice)
    with CaptureQueriesContext(connection) as captured:
        check(alice)
    assert any("FOR UPDATE" in query["sql"] for query in captured) == (connection.vendor == "postgresql")


def test_staff_disable_with_a_reason_that_the_user_reads(alice: User, bob: User) -> None:
    assert enforcement.disable(users=[alice], by="staff", reason="On leave.", until=None, now=NOON) == 1
    with pytest.raises(enforcement.AccountDisabled) as refused:
        check(alice, now=NOON + timedelta(days=365))
    assert (refused.value.code, refused.value.status) == ("account_disabled", 403)
    assert refused.value.details == {"reason": "On leave.", "until": None}
    assert "On leave. It stays so until an administrator enables it." in refused.value.message
    check(bob)
    assert enforcement.enable(users=[alice, bob], now=NOON) == 1
    check(alice)


def test_a_disabled_state_ends_at_its_instant(alice: User) -> None:
    enforcement.disable(users=[alice], by="budget", reason="Used up.", until=MIDNIGHT, now=NOON)
    with pytest.raises(enforcement.AccountDisabled) as refused:
        check(alice, now=MIDNIGHT - timedelta(seconds=1))
    assert refused.value.details["until"] == "2026-03-16T00:00:00+00:00"
    assert "00:00 UTC on 16 March 2026" in refused.value.message
    assert not enforcement.account_state(user=alice, now=MIDNIGHT).disabled
    check(alice, now=MIDNIGHT)
    assert states() == {"Alice": ("", None)}


@pytest.mark.parametrize(("period", "until"), [("day", MIDNIGHT), ("month", NEXT_MONTH)])
def test_who_is_over_budget_is_disabled_until_the_period_ends(
    alice: User, bob: User, price: Price, period: str, until: datetime
) -> None:
    limit(user=alice, **{period: "0.0021"})
    spend(user=alice, price=price)
    spend(user=bob, price=price)
    assert enforcement.enforce_budgets(now=NOON) == (1, 0)
    assert states() == {"Alice": ("budget", until)}
    with pytest.raises(enforcement.AccountDisabled):
        check(alice)
    assert enforcement.enforce_budgets(now=NOON + timedelta(minutes=1)) == (0, 0)
    assert enforcement.enforce_budgets(now=until) == (0, 1)
    check(alice, now=until)


def test_where_both_are_used_up_the_month_counts(alice: User, price: Price) -> None:
    limit(user=alice, day="0.002", month="0.002")
    spend(user=alice, price=price)
    assert enforcement.enforce_budgets(now=NOON) == (1, 0)
    assert states() == {"Alice": ("budget", NEXT_MONTH)}
    limit(user=alice, month="1")
    assert enforcement.enforce_budgets(now=NOON) == (0, 0)
    assert states() == {"Alice": ("budget", MIDNIGHT)}


def test_room_for_one_useful_call_is_enough(alice: User, price: Price) -> None:
    least = 1 * dollars("0.000001") + bounds.USEFUL_OUTPUT_TOKENS * dollars("0.000002")
    settle(hold(user=alice, price=price))
    limit(user=alice, day="0.002129")
    assert dollars("0.002129") - dollars("0.002") == least
    assert enforcement.enforce_budgets(now=NOON) == (0, 0)
    limit(user=alice, day="0.002128999")
    assert enforcement.enforce_budgets(now=NOON) == (1, 0)


def test_what_is_only_held_disables_nobody(alice: User, price: Price) -> None:
    limit(user=alice, day="0.002")
    hold(user=alice, price=price)
    assert enforcement.enforce_budgets(now=NOON) == (0, 0)


def test_a_limit_of_nothing_disables_before_the_first_call(alice: User, price: Price) -> None:
    limit(user=alice, day="0")
    assert enforcement.enforce_budgets(now=NOON) == (1, 0)


def test_a_raised_limit_enables(alice: User, price: Price) -> None:
    limit(user=alice, day="0.002")
    spend(user=alice, price=price)
    enforcement.enforce_budgets(now=NOON)
    limit(user=alice, day="1")
    assert enforcement.enforce_budgets(now=NOON, users=[alice]) == (0, 1)
    check(alice)


def test_only_the_users_named_are_touched(alice: User, bob: User, price: Price) -> None:
    for user in (alice, bob):
        limit(user=user, day="0")
    assert enforcement.enforce_budgets(now=NOON, users=[alice]) == (1, 0)
    assert states() == {"Alice": ("budget", MIDNIGHT)}
    limit(user=alice, day="1")
    assert enforcement.enforce_budgets(now=NOON, users=[bob]) == (1, 0)
    assert states()["Alice"] == ("budget", MIDNIGHT)


def test_whom_staff_disabled_stays_so(alice: User, price: Price) -> None:
    limit(user=alice, day="0")
    enforcement.enforce_budgets(now=NOON)
    enforcement.disable(users=[alice], by="staff", reason="Left.", until=None, now=NOON)
    limit(user=alice, day="1")
    assert enforcement.enforce_budgets(now=NOON) == (0, 0)
    assert enforcement.disable(users=[alice], by="budget", reason="x", until=MIDNIGHT, now=NOON) == 0
    assert enforcement.enforce_budgets(now=NEXT_MONTH) == (0, 0)
    assert Account.objects.get().reason == "Left."


def test_enabling_one_who_is_over_budget_needs_a_higher_limit(alice: User, price: Price) -> None:
    limit(user=alice, day="0")
    enforcement.enforce_budgets(now=NOON)
    assert enforcement.enable(users=[alice], now=NOON) == 0
    assert states() == {"Alice": ("budget", MIDNIGHT)}


def test_the_number_of_queries_does_not_depend_on_the_number_of_users(price: Price) -> None:
    counts = []
    for number in (1, 20):
        for index in range(number):
            user = User.objects.create(email=f"user{number}-{index}@example.com", name=f"{number}-{index}")
            limit(user=user, day="0")
        with CaptureQueriesContext(connection) as captured:
            assert enforcement.enforce_budgets(now=NOON) == (number, 0)
        counts.append(len(captured))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_what_one_does(price: Price) -> None:
    users = [User.objects.create(email=f"user{number}@example.com", name=str(number)) for number in range(20)]
    for user in users:
        limit(user=user, day="0")
    outcomes = at_once(lambda number: str(enforcement.enforce_budgets(now=NOON)), 4)
    assert set(states().values()) == {("budget", MIDNIGHT)}
    assert len(states()) == 20
    assert sorted(outcomes) == ["(0, 0)"] * 3 + ["(20, 0)"]


def test_beat_does_it(alice: User, price: Price) -> None:
    limit(user=alice, day="0")
    tasks.enforce_budgets.apply(throw=True)
    assert states()["Alice"][0] == "budget"


def test_a_model_without_a_price_cannot_be_called(price: Price, caplog: pytest.LogCaptureFixture) -> None:
    assert prices.in_force(model="test-model", now=NOON) == price
    with pytest.raises(prices.UnpricedModel) as refused:
        prices.in_force(model="nameless", now=NOON)
    assert (refused.value.code, refused.value.status) == ("provider_unavailable", 503)
    assert "nameless" in caplog.text
