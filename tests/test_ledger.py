"""Hold, settle, release: rules 1 and 2."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.db.models import F, ProtectedError
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.statements import Found, Statement, update
from billing import bounds, budgets, ledger
from billing.audit import Audit
from billing.models import Budget, BudgetPeriod, Hold, Price, UsageRecord
from tests.calls import NOON, at_once, dollars, hold, limit, make_price, settle, spend

pytestmark = pytest.mark.django_db


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def periods() -> dict[str, tuple[int, int]]:
    return {
        f"{row.budget.scope} {row.budget.period}": (row.spent, row.held)
        for row in BudgetPeriod.objects.select_related("budget")
    }


def test_a_hold_is_set_aside_in_every_budget_that_covers_the_user(alice: User, price: Price) -> None:
    record = hold(user=alice, price=price)
    assert record.hold == dollars("0.002")
    assert (record.state, record.spend_date, record.user_name) == ("held", NOON.date(), "Alice")
    assert periods() == {name: (0, dollars("0.002")) for name in ("user day", "user month", "everyone day")}


def test_settling_replaces_the_hold_by_the_cost(alice: User, price: Price) -> None:
    record = settle(hold(user=alice, price=price), input=900, cached_input=400, output=10)
    assert record.cost == dollars("0.00056")  # 500 × $1 + 400 × $0.10 + 10 × $2, per million
    assert set(periods().values()) == {(record.cost, 0)}
    stored = UsageRecord.objects.get()
    assert (stored.state, stored.cost, stored.over_hold, stored.settled_at) == ("settled", record.cost, False, NOON)


def test_releasing_gives_everything_back(alice: User, price: Price) -> None:
    record = hold(user=alice, price=price)
    ledger.release(record=record, outcome="failed", provider_request_id="req_9", now=NOON)
    assert set(periods().values()) == {(0, 0)}
    assert (UsageRecord.objects.get().state, UsageRecord.objects.get().cost) == ("released", 0)


def test_a_record_ends_once(alice: User, price: Price) -> None:
    record = spend(user=alice, price=price)
    again = UsageRecord.objects.get()
    with pytest.raises(ledger.AlreadyEnded):
        settle(again, output=1)
    with pytest.raises(ledger.AlreadyEnded):
        ledger.release(record=again, outcome="failed", provider_request_id="", now=NOON)
    assert UsageRecord.objects.get().cost == record.cost
    assert set(periods().values()) == {(record.cost, 0)}


def test_ending_twice_leaves_the_surrounding_transaction_usable(alice: User, price: Price) -> None:
    record = spend(user=alice, price=price)
    with transaction.atomic():
        with pytest.raises(ledger.AlreadyEnded):
            settle(record)
        assert UsageRecord.objects.count() == 1


def test_a_truth_above_the_hold_is_booked_and_flagged(
    alice: User, price: Price, caplog: pytest.LogCaptureFixture
) -> None:
    record = settle(hold(user=alice, price=price), output=600)
    assert record.over_hold
    assert record.cost > record.hold
    assert set(periods().values()) == {(record.cost, 0)}
    assert f"usage record {record.pk}" in caplog.text
    assert list(Audit().differences()) == []


def test_the_output_cap_is_lowered_to_what_fits(alice: User, price: Price) -> None:
    limit(user=alice, day="0.0012")
    record = hold(user=alice, price=price)
    assert record.output_cap == 100  # $0.001 for the prompt leaves $0.0002
    assert record.hold == dollars("0.0012")


@pytest.mark.only("scaled")  # SQLite lets nobody write meanwhile
@pytest.mark.django_db(transaction=True)
def test_what_a_hold_will_be_is_told_with_each_try(alice: User, price: Price) -> None:
    limit(user=alice, day="0.003")
    spend(user=alice, price=price, input=0, output=0)  # so that all rows are there
    told: list[tuple[int, int]] = []

    def meanwhile(record: UsageRecord) -> None:
        told.append((record.pk, record.output_cap))
        if len(told) == 1:  # somebody else takes the room that this try was made for
            assert at_once(lambda _: str(hold(user=alice, price=price).output_cap), 1) == ["500"]

    call = bounds.Call(user=alice, feature="chat", price=price, input_tokens=800, output_cap=500)
    with transaction.atomic():
        record = ledger.hold(call=call, now=NOON, meanwhile=meanwhile)
    assert told == [(record.pk, 500), (record.pk, 100)]
    assert record.output_cap == 100
    assert periods()["user day"] == (0, dollars("0.003"))


def joins(user: User, group: Group) -> None:
    user.groups.add(group)


def leaves(user: User, group: Group) -> None:
    user.groups.remove(group)


def gets_a_budget(user: User, group: Group) -> None:
    Budget.objects.create(scope=Budget.Scope.GROUP, group=group, period=Budget.Period.MONTH, limit=dollars("5"))


@pytest.mark.only("scaled")  # SQLite lets nobody write meanwhile
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [joins, leaves, gets_a_budget])
def test_a_hold_that_is_tried_again_is_taken_from_the_budgets_that_its_record_names(
    alice: User, bob: User, price: Price, change: Callable[[User, Group], None]
) -> None:
    limit(user=alice, day="0.003")
    group = Group.objects.create(name="Research")
    Budget.objects.create(scope=Budget.Scope.GROUP, group=group, period=Budget.Period.DAY, limit=dollars("5"))
    bob.groups.add(group)
    other = hold(user=bob, price=price)  # which is not to lose what it has set aside in the group's budget
    if change is not joins:
        alice.groups.add(group)
    spend(user=alice, price=price, input=0, output=0)
    tries = []

    def taken(_: int) -> str:
        record = hold(user=alice, price=price)
        change(alice, group)
        return str(record.output_cap)

    def meanwhile(record: UsageRecord) -> None:
        tries.append(record.output_cap)
        if len(tries) == 1:
            assert at_once(taken, 1) == ["500"]

    call = bounds.Call(user=alice, feature="chat", price=price, input_tokens=800, output_cap=500)
    with transaction.atomic():
        record = ledger.hold(call=call, now=NOON, meanwhile=meanwhile)
    assert tries == [500, 100]
    assert not list(Audit().differences())
    settle(record, input=800, output=100)
    assert not list(Audit().differences())
    assert periods()["group day"][1] == other.hold + (0 if change is joins else dollars("0.002"))


def test_an_answer_too_short_to_be_useful_is_refused(alice: User, price: Price) -> None:
    limit(user=alice, day="0.00112")  # room for 60 tokens
    with pytest.raises(budgets.BudgetExhausted):
        hold(user=alice, price=price)
    assert hold(user=alice, price=price, output_cap=50).output_cap == 50  # as short as was asked for


def test_a_refusal_changes_nothing(alice: User, price: Price) -> None:
    limit(user=alice, day="0.003")
    spend(user=alice, price=price)
    before = periods()
    with pytest.raises(budgets.BudgetExhausted) as refused:
        hold(user=alice, price=price)
    assert periods() == before
    assert (UsageRecord.objects.count(), Hold.objects.count()) == (1, 3)
    error = refused.value
    assert (error.code, error.status) == ("budget_exhausted", 402)
    assert error.details == {
        "budget": "user_day", "remaining_usd": "0.001", "resets_at": "2026-03-16T00:00:00+00:00"
    }  # fmt: skip
    assert "Your daily budget of $0.00" in error.message
    assert "Nothing was charged." in error.message


@pytest.mark.parametrize("scope", ["group", "everyone"])
def test_any_budget_can_refuse(alice: User, bob: User, price: Price, scope: str) -> None:
    group = Group.objects.create(name="Sales")
    alice.groups.add(group)
    bob.groups.add(group)
    Budget.objects.create(
        scope=scope, group=group if scope == "group" else None, period="month", limit=dollars("0.003")
    )  # fmt: skip
    spend(user=alice, price=price)
    with pytest.raises(budgets.BudgetExhausted) as refused:
        hold(user=bob, price=price)
    assert refused.value.details["budget"] == f"{scope}_month"
    assert periods()["user day"][1] == 0
    assert not UsageRecord.objects.filter(user=bob).exists()


def test_a_record_keeps_the_names_of_its_day(alice: User, price: Price) -> None:
    group, later = Group.objects.create(name="Sales"), Group.objects.create(name="Marketing")
    alice.groups.add(later, group)
    spend(user=alice, price=price)
    number = group.pk
    assert UsageRecord.objects.get().group_id == number
    group.delete()
    User.objects.filter(pk=alice.pk).update(name="Somebody")
    record = UsageRecord.objects.get()
    assert (record.user_name, record.group_id, record.group_name) == ("Alice", number, "Sales")


def test_a_lowered_limit_stops_new_calls_and_lets_running_ones_end(alice: User, price: Price) -> None:
    running = hold(user=alice, price=price)
    limit(user=alice, day="0.0001")
    with pytest.raises(budgets.BudgetExhausted):
        hold(user=alice, price=price)
    settle(running)
    assert periods()["user day"] == (dollars("0.002"), 0)
    limit(user=alice, day="0.01")
    assert hold(user=alice, price=price).hold == dollars("0.002")


def test_midnight_between_hold_and_settle_books_on_the_day_of_the_hold(alice: User, price: Price) -> None:
    late = NOON.replace(hour=23, minute=59, second=59)
    record = hold(user=alice, price=price, now=late)
    settle(record, now=late + timedelta(seconds=5))
    assert record.spend_date == late.date()
    days = BudgetPeriod.objects.filter(budget__scope="user", budget__period="day")
    assert [(row.start, row.spent) for row in days] == [(late.date(), dollars("0.002"))]


@pytest.mark.django_db(transaction=True)
def test_a_hold_needs_the_transaction_of_its_message(alice: User, price: Price) -> None:
    call = bounds.Call(user=alice, feature="chat", price=price, input_tokens=1, output_cap=100)
    with pytest.raises(transaction.TransactionManagementError):
        ledger.hold(call=call, now=NOON)
    assert not UsageRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [True, False], ids=["whoever held it", "whoever comes later"])
def test_what_is_claimed_along_with_a_record_changes_with_it_or_not_at_all(
    alice: User, bob: User, price: Price, known: bool
) -> None:
    def rename(whom: User) -> Statement:
        return update(User, {"name": "Renamed"}, where="id = %s", params=[whom.pk], must=True)

    def end(record: UsageRecord, claim: list[Statement]) -> None:
        if not known:
            record = UsageRecord.objects.get(pk=record.pk)
        ledger.release(record=record, outcome="failed", provider_request_id="", now=NOON, claim=claim)

    def stands() -> tuple[object, ...]:
        names = list(User.objects.order_by("pk").values_list("name", flat=True))
        return names, list(UsageRecord.objects.values_list("state")), periods()

    record = hold(user=alice, price=price)
    before, gone = stands(), User(pk=987654)
    for claim in ([rename(alice), rename(gone)], [rename(gone), rename(alice)]):
        with pytest.raises(ledger.AlreadyEnded):
            end(record, claim)
        assert stands() == before
    end(record, [rename(alice)])
    assert stands()[1] == [("released",)]
    with pytest.raises(ledger.AlreadyEnded):
        end(record, [rename(bob)])
    assert [User.objects.get(pk=one.pk).name == "Renamed" for one in (alice, bob)] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_settling_is_all_or_nothing_on_its_own(alice: User, price: Price) -> None:
    record = hold(user=alice, price=price)
    BudgetPeriod.objects.filter(budget__scope="everyone").update(held=0)  # so that the last update fails
    with pytest.raises(IntegrityError):
        settle(record)
    assert UsageRecord.objects.get().state == "held"
    assert periods()["user day"] == (0, dollars("0.002"))


@pytest.mark.usefixtures("unprepared")
def test_the_room_is_taken_in_one_conditional_update_per_budget(alice: User, price: Price) -> None:
    hold(user=alice, price=price)
    with CaptureQueriesContext(connection) as captured:
        hold(user=alice, price=price)
    statements = [" ".join(one.split()) for query in captured for one in query["sql"].split(";\n")]
    updates = [one for one in statements if "UPDATE billing_budgetperiod" in one]
    assert len(updates) == 3
    for sql in updates:
        condition = sql.partition("WHERE ")[2]
        assert "AND spent + held + " in condition, "spent and held must be those of the row itself"
        assert '<= COALESCE( (SELECT "limit" FROM billing_budget WHERE' in condition
    everyone = BudgetPeriod.objects.get(budget__scope="everyone")
    assert f"id = {everyone.pk} " in updates[-1], "the row that all need must be locked last"
    assert statements[-4:-1] == updates, "nothing may come between the last lock and the end"


def test_the_number_of_round_trips_does_not_grow_with_budgets(
    alice: User, bob: User, price: Price, django_assert_num_queries: object
) -> None:
    for number in range(3):
        group = Group.objects.create(name=f"Group {number}")
        bob.groups.add(group)
        Budget.objects.create(scope="group", group=group, period="day", limit=dollars("1"))
    for user, budgets_of_user in ((alice, 3), (bob, 6)):
        spend(user=user, price=price)
        several = connection.vendor == "postgresql"  # whether it answers several statements at once
        # a savepoint (2), then a key, a group and which budgets; then record, holds, a savepoint and an update a budget
        with django_assert_num_queries(4 if several else 8 + budgets_of_user):  # type: ignore[operator]
            record = hold(user=user, price=price)
        # a savepoint (2), then the record and an update a budget
        with django_assert_num_queries(3 if several else 3 + budgets_of_user):  # type: ignore[operator]
            settle(record)


@pytest.mark.only("scaled")
@pytest.mark.django_db(transaction=True)
def test_a_call_is_held_in_two_round_trips_and_settled_in_one_begin_and_commit_included(
    alice: User, price: Price
) -> None:
    spend(user=alice, price=price)
    with CaptureQueriesContext(connection) as captured:
        spend(user=alice, price=price)
    # Django writes these down on their own too, where there is nothing left to send for them.
    trips = [query["sql"] for query in captured if query["sql"] not in ("BEGIN", "COMMIT", "ROLLBACK")]
    assert len(trips) == 3
    assert [(trip.startswith("BEGIN;"), "\nCOMMIT;\n" in trip) for trip in trips] == [
        (True, False), (False, True), (True, True)
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_nothing_can_follow_a_hold_in_its_transaction(alice: User, price: Price) -> None:
    call = bounds.Call(user=alice, feature="chat", price=price, input_tokens=1000, output_cap=500)
    with transaction.atomic():
        record = ledger.hold(call=call, now=NOON)
        if connection.vendor == "postgresql":  # it is committed, so what follows would be in no transaction
            with pytest.raises(transaction.TransactionManagementError):
                UsageRecord.objects.exists()
    assert UsageRecord.objects.get() == record
    assert set(periods().values()) == {(0, record.hold)}


@pytest.fixture
def room_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another call takes most of the room, after a hold has read how the budgets stand and before it takes its own."""
    opened = budgets.opened

    def late(*, user: User, now: datetime, answer: Found) -> list[budgets.Standing]:
        found = opened(user=user, now=now, answer=answer)
        BudgetPeriod.objects.filter(budget__scope="user").update(spent=dollars("0.002"))
        return found

    monkeypatch.setattr(budgets, "opened", late)


@pytest.mark.django_db(transaction=True)
def test_a_refusal_after_the_room_was_lost_leaves_nothing_even_where_it_is_caught(
    alice: User, price: Price, room_lost: None
) -> None:
    limit(user=alice, day="0.003")
    call = bounds.Call(user=alice, feature="chat", price=price, input_tokens=1000, output_cap=500)
    with transaction.atomic(), pytest.raises(budgets.BudgetExhausted):
        ledger.hold(call=call, now=NOON)
    assert (UsageRecord.objects.count(), Hold.objects.count()) == (0, 0)
    assert all(held == 0 for _, held in periods().values())


def test_what_is_left_when_the_room_was_lost_is_taken(alice: User, price: Price, room_lost: None) -> None:
    limit(user=alice, day="0.0035")
    record = hold(user=alice, price=price)
    stored = UsageRecord.objects.get()
    assert (record.output_cap, record.hold) == (stored.output_cap, stored.hold) == (250, dollars("0.0015"))
    assert {held for _, held in periods().values()} == {record.hold}


def test_what_finance_relies_on_cannot_be_deleted(alice: User, price: Price) -> None:
    record = spend(user=alice, price=price)
    for thing in (record, price, BudgetPeriod.objects.first(), Budget.objects.first(), alice):
        assert thing is not None
        with pytest.raises(ProtectedError):
            thing.delete()
    assert UsageRecord.objects.get() == record


@pytest.mark.parametrize(
    "change",
    [
        {"state": "settled"},
        {"cost": 5},
        {"state": "released", "outcome": "failed", "settled_at": NOON, "cost": 5},
        {"cached_input_tokens": 1},
        {"reasoning_tokens": 1},
    ],
)
def test_the_database_refuses_a_record_that_makes_no_sense(
    alice: User, price: Price, change: dict[str, object]
) -> None:
    hold(user=alice, price=price)
    with pytest.raises(IntegrityError), transaction.atomic():
        UsageRecord.objects.update(**change)
    assert UsageRecord.objects.get().state == "held"


def test_the_database_refuses_a_negative_period(alice: User, price: Price) -> None:
    hold(user=alice, price=price)
    with pytest.raises(IntegrityError), transaction.atomic():
        BudgetPeriod.objects.update(held=F("held") - dollars("1"))


@pytest.mark.django_db(transaction=True)
def test_forty_at_once_with_room_for_ten(alice: User, price: Price) -> None:
    limit(user=alice, day="0.02")

    def one(number: int) -> str:
        try:
            return hold(user=alice, price=price).state
        except budgets.BudgetExhausted:
            return "refused"

    assert sorted(at_once(one, 40)) == ["held"] * 10 + ["refused"] * 30
    assert periods()["user day"] == (0, dollars("0.02"))
    assert list(Audit().differences()) == []


@pytest.mark.django_db(transaction=True)
def test_who_comes_last_gets_what_is_left(alice: User, price: Price) -> None:
    limit(user=alice, day="0.0195")
    assert at_once(lambda number: hold(user=alice, price=price).state, 10) == ["held"] * 10
    assert periods()["user day"] == (0, dollars("0.0195"))
    assert sorted(UsageRecord.objects.values_list("output_cap", flat=True)) == [250] + [500] * 9


@pytest.mark.django_db(transaction=True)
def test_forty_users_at_once_share_the_room_of_everyone(price: Price) -> None:
    Budget.objects.create(scope="everyone", period="day", limit=dollars("0.02"))
    users = [User.objects.create(email=f"user{number}@example.com") for number in range(40)]

    def one(number: int) -> str:
        try:
            return settle(hold(user=users[number], price=price)).state
        except budgets.BudgetExhausted:
            return "refused"

    assert sorted(at_once(one, 40)) == ["refused"] * 30 + ["settled"] * 10
    assert periods()["everyone day"] == (dollars("0.02"), 0)
    assert list(Audit().differences()) == []


@pytest.mark.django_db(transaction=True)
def test_one_record_ended_by_many_at_once_ends_once(alice: User, price: Price) -> None:
    record = hold(user=alice, price=price)

    def one(number: int) -> str:
        mine = UsageRecord.objects.select_related("price").get(pk=record.pk)
        try:
            if number % 2:
                return settle(mine).state
            return ledger.release(record=mine, outcome="failed", provider_request_id="", now=NOON).state
        except ledger.AlreadyEnded:
            return "too late"

    outcomes = at_once(one, 8)
    assert outcomes.count("too late") == 7
    assert periods()["everyone day"] == (dollars("0.002") if "settled" in outcomes else 0, 0)
    assert list(Audit().differences()) == []
