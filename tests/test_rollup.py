"""Usage records → daily spend, each exactly once."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from billing import corrections, ledger, rollup
from billing.audit import Audit
from billing.models import DailySpend, Price, UncountedRecord, UsageRecord
from billing.selection import Selection
from tests.calls import NOON, at_once, dollars, hold, make_price, settle, spend
from tests.test_export import many

pytestmark = pytest.mark.django_db


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def days() -> list[tuple[str, str, int, int]]:
    rows = DailySpend.objects.order_by("spend_date", "user__name", "model", "feature").select_related("user")
    return [(f"{row.spend_date:%d}", f"{row.user.name} {row.model} {row.feature}", row.calls, row.cost) for row in rows]


def test_records_are_added_up_by_day_user_model_and_feature(alice: User, bob: User, price: Price) -> None:
    other = make_price(model="other-model", output_price=dollars("4"))
    for _ in range(3):
        spend(user=alice, price=price)
    spend(user=alice, price=other)
    settle(hold(user=alice, price=price, feature="title"))
    spend(user=bob, price=price, cached_input=1000, reasoning=500)
    spend(user=bob, price=price, now=NOON + timedelta(days=1))
    assert rollup.roll_up() == 7
    assert days() == [
        ("15", "Alice other-model chat", 1, dollars("0.003")),
        ("15", "Alice test-model chat", 3, dollars("0.006")),
        ("15", "Alice test-model title", 1, dollars("0.002")),
        ("15", "Bob test-model chat", 1, dollars("0.0011")),
        ("16", "Bob test-model chat", 1, dollars("0.002")),
    ]
    row = DailySpend.objects.get(user=bob, spend_date=NOON.date())
    assert (row.input_tokens, row.cached_input_tokens) == (1000, 1000)
    assert (row.output_tokens, row.reasoning_tokens) == (500, 500)
    assert list(Audit().differences()) == []


def test_running_again_adds_nothing(alice: User, price: Price) -> None:
    spend(user=alice, price=price)
    assert (rollup.roll_up(), rollup.roll_up()) == (1, 0)
    assert days() == [("15", "Alice test-model chat", 1, dollars("0.002"))]


def test_a_late_record_is_added_to_its_own_day(alice: User, price: Price) -> None:
    late = hold(user=alice, price=price)
    spend(user=alice, price=price)
    rollup.roll_up()
    settle(late, now=NOON + timedelta(days=9))
    assert rollup.roll_up() == 1
    assert days() == [("15", "Alice test-model chat", 2, dollars("0.004"))]


def test_what_is_held_or_released_is_not_spend(alice: User, price: Price) -> None:
    hold(user=alice, price=price)
    assert rollup.roll_up() == 0
    assert days() == []


def test_the_number_of_queries_does_not_depend_on_the_number_of_records(alice: User, price: Price) -> None:
    counts = []
    for records in (1, 30):
        for _ in range(records):
            spend(user=alice, price=price)
        with CaptureQueriesContext(connection) as captured:
            rollup.roll_up()
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_only_the_records_that_wait_are_looked_at_and_none_is_written(alice: User, price: Price) -> None:
    for _ in range(30):
        spend(user=alice, price=price)
    rollup.roll_up()
    spend(user=alice, price=price)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as captured:
        rollup.roll_up()
    assert not [query["sql"] for query in captured if "UPDATE billing_usagerecord" in query["sql"]]
    sql = next(query["sql"] for query in captured if "INSERT INTO billing_dailyspend" in query["sql"])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_mergejoin = off")
            cursor.execute("SET LOCAL enable_hashjoin = off")
            cursor.execute(f"EXPLAIN {sql}")
            plan = [line for (line,) in cursor.fetchall()]
            assert "billing_usagerecord_pkey" in str(plan), "\n".join(plan)
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            assert "SEARCH billing_usagerecord USING INTEGER PRIMARY KEY" in str(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_many_at_once_count_each_record_once(alice: User, bob: User, price: Price) -> None:
    """Some settle, some roll up, some compute the day anew."""
    for number in range(10):
        spend(user=(alice, bob)[number % 2], price=price)

    def one(number: int) -> str:
        for _ in range(5):
            if number % 3 == 0:
                spend(user=(alice, bob)[number % 2], price=price)
            elif number % 3 == 1:
                rollup.roll_up()
            else:
                rollup.rebuild(first=NOON.date(), last=NOON.date())
        return ""

    at_once(one, 6)
    rollup.roll_up()
    assert [row[2:] for row in days()] == [(10, dollars("0.02"))] * 2
    assert list(Audit().differences()) == []


@pytest.mark.only("scaled")  # SQLite's others would wait
@pytest.mark.django_db(transaction=True)
def test_a_record_that_is_committed_late_is_not_missed(alice: User, price: Price) -> None:
    """It was settled before others that are counted, and nobody could see it then."""
    early, late = hold(user=alice, price=price), hold(user=alice, price=price)
    settled, counted = threading.Event(), threading.Event()

    def one(number: int) -> str:
        if number:
            with transaction.atomic():
                settle_alone(late)
                settled.set()
                assert counted.wait(10)
            return ""
        assert settled.wait(10)
        settle_alone(early)
        found = [rollup.roll_up(), rollup.rebuild(first=NOON.date(), last=NOON.date())]
        counted.set()
        return str(found)

    assert at_once(one, 2)[0] == "[1, 1]"
    assert (rollup.roll_up(), rollup.roll_up()) == (1, 0)
    assert days() == [("15", "Alice test-model chat", 2, dollars("0.004"))]


@pytest.mark.only("scaled")  # on SQLite it would wait
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("anew", [False, True])
def test_a_record_settled_between_any_two_statements_is_not_missed(alice: User, price: Price, anew: bool) -> None:
    spend(user=alice, price=price)
    settled = 0

    def settle_another(execute: Callable[..., Any], *query: Any) -> Any:
        nonlocal settled
        settled += 1
        at_once(lambda _: str(spend(user=alice, price=price)), 1)
        return execute(*query)

    with connection.execute_wrapper(settle_another):
        if anew:
            rollup.rebuild(first=NOON.date(), last=NOON.date())
        else:
            rollup.roll_up()
    rollup.roll_up()
    assert settled > 1
    assert [row[2] for row in days()] == [settled + 1]
    assert list(Audit().differences()) == []


def settle_alone(record: UsageRecord) -> None:
    """Settle a record without its budget periods, whose locks would keep the others waiting."""
    UsageRecord.objects.filter(pk=record.pk).update(
        state="settled", outcome="complete", measured="provider", cost=dollars("0.002"), settled_at=NOON
    )


def test_each_way_to_settle_is_noted_once(alice: User, staff: User, price: Price) -> None:
    """By whomever, ledger or not; what was settled and changes no more is not noted again."""
    record = spend(user=alice, price=price)
    released = hold(user=alice, price=price)
    ledger.release(record=released, outcome="failed", provider_request_id="", now=NOON)
    credit = corrections.grant_credit(user=alice, amount=1, by=staff, reason="sorry", now=NOON)
    assert set(UncountedRecord.objects.values_list("pk", flat=True)) == {record.pk, credit.pk}
    assert rollup.roll_up() == 2
    UsageRecord.objects.filter(pk=record.pk).update(state="settled", user_name="user 7")
    record.save()
    assert not UncountedRecord.objects.exists()


@pytest.fixture
def refused(transactional_db: None) -> Iterator[Callable[[], None]]:
    """A database that refuses to delete a note, until it is mended."""
    sqlite = connection.vendor == "sqlite"
    body = "BEGIN SELECT RAISE(ABORT, 'crash'); END" if sqlite else "FOR EACH ROW EXECUTE FUNCTION crash()"
    make = [f"CREATE TRIGGER no_end BEFORE DELETE ON billing_uncountedrecord {body}"]
    drop = ["DROP TRIGGER IF EXISTS no_end" + ("" if sqlite else " ON billing_uncountedrecord")]
    if not sqlite:
        crash = "AS $$ BEGIN RAISE EXCEPTION 'crash'; END $$"
        make.insert(0, f"CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql {crash}")
        drop.append("DROP FUNCTION IF EXISTS crash()")

    def run(statements: list[str]) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    run(make)
    yield lambda: run(drop)
    run(drop)


def test_a_crash_in_the_middle_leaves_everything_to_the_next_run(
    refused: Callable[[], None], alice: User, price: Price
) -> None:
    spend(user=alice, price=price)
    for act in (rollup.roll_up, lambda: rollup.rebuild(first=NOON.date(), last=NOON.date())):
        with pytest.raises(DatabaseError, match="crash"):
            act()
        assert days() == []
    refused()
    assert rollup.roll_up() == 1
    assert list(Audit().differences()) == []


def test_days_can_be_computed_anew(alice: User, price: Price) -> None:
    spend(user=alice, price=price)
    rollup.roll_up()
    spend(user=alice, price=price)
    spend(user=alice, price=price, now=NOON + timedelta(days=1))
    DailySpend.objects.update(cost=1)
    DailySpend.objects.create(spend_date=NOON.date(), user=alice, model="ghost", feature="chat", calls=1)
    assert rollup.rebuild(first=NOON.date(), last=NOON.date()) == 2
    assert days() == [("15", "Alice test-model chat", 2, dollars("0.004"))]
    assert UncountedRecord.objects.count() == 1, "the next day still waits"
    rollup.roll_up()
    assert list(Audit().differences()) == []
    far = NOON.date() + timedelta(days=100)
    assert rollup.rebuild(first=NOON.date() - timedelta(days=100), last=far) == 3
    assert list(Audit().differences()) == []


@pytest.mark.only("scaled")
@pytest.mark.django_db(transaction=True)
def test_what_waits_is_looked_up_also_on_a_day_that_the_statistics_do_not_know(alice: User, price: Price) -> None:
    many(user=alice, price=price, day=NOON.date(), count=2000)
    rollup.roll_up()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_usagerecord, billing_uncountedrecord")  # nothing waits, as nearly always
    day = NOON.date() + timedelta(days=300)
    many(user=alice, price=price, day=day, count=2000)
    waiting = Selection(first=day, last=day).waiting()
    plan = waiting.order_by().values_list("cost").explain()
    assert "billing_usagerecord_pkey" in plan
    assert "usagerecord_day" not in plan
    assert waiting.count() == 2000
