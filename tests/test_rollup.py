"""Usage records → daily spend, each exactly once."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from billing import rollup
from billing.audit import Audit
from billing.models import DailySpend, Price, UsageRecord
from tests.calls import NOON, at_once, dollars, hold, make_price, settle, spend

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


def test_small_batches_do_what_a_large_one_does(alice: User, bob: User, price: Price) -> None:
    for user in (alice, bob, alice, bob, alice):
        spend(user=user, price=price)
    assert rollup.roll_up(limit=2) == 5
    assert [row[2:] for row in days()] == [(3, dollars("0.006")), (2, dollars("0.004"))]


def test_the_number_of_queries_does_not_depend_on_the_number_of_records(alice: User, price: Price) -> None:
    counts = []
    for records in (1, 30):
        for _ in range(records):
            spend(user=alice, price=price)
        with CaptureQueriesContext(connection) as captured:
            rollup.roll_up()
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_only_the_records_that_wait_are_looked_at(alice: User, price: Price) -> None:
    spend(user=alice, price=price)
    with CaptureQueriesContext(connection) as captured:
        rollup.roll_up()
    sql = next(query["sql"] for query in captured if " LIMIT 5000" in query["sql"])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            assert "FOR UPDATE SKIP LOCKED" in sql
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        assert "usagerecord_to_roll_up" in str(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_many_at_once_count_each_record_once(alice: User, bob: User, price: Price) -> None:
    for number in range(40):
        spend(user=(alice, bob)[number % 2], price=price)
    counted = at_once(lambda number: str(rollup.roll_up(limit=3)), 4)
    assert sum(map(int, counted)) == 40
    assert [row[2:] for row in days()] == [(20, dollars("0.04"))] * 2
    assert list(Audit().differences()) == []


@pytest.fixture
def broken_mark(transactional_db: None) -> Iterator[Callable[[], None]]:
    """A database that refuses to mark a record, until it is mended."""
    sqlite = connection.vendor == "sqlite"
    body = "BEGIN SELECT RAISE(ABORT, 'crash'); END" if sqlite else "FOR EACH ROW EXECUTE FUNCTION crash()"
    make = [f"CREATE TRIGGER no_mark BEFORE UPDATE OF rolled_up ON billing_usagerecord {body}"]
    drop = ["DROP TRIGGER IF EXISTS no_mark" + ("" if sqlite else " ON billing_usagerecord")]
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


def test_a_crash_before_the_mark_leaves_everything_to_the_next_run(
    broken_mark: Callable[[], None], alice: User, price: Price
) -> None:
    spend(user=alice, price=price)
    with pytest.raises(DatabaseError, match="crash"):
        rollup.roll_up()
    assert days() == []
    broken_mark()
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
    assert UsageRecord.objects.filter(rolled_up=False).count() == 1, "the next day still waits"
    rollup.roll_up()
    assert list(Audit().differences()) == []


@pytest.mark.django_db(transaction=True)
def test_computing_anew_and_rolling_up_at_once_count_each_record_once(alice: User, price: Price) -> None:
    for _ in range(20):
        spend(user=alice, price=price)

    def one(number: int) -> str:
        if number % 2:
            return str(rollup.rebuild(first=NOON.date(), last=NOON.date()))
        return str(rollup.roll_up(limit=3))

    at_once(one, 4)
    rollup.roll_up()
    assert days() == [("15", "Alice test-model chat", 20, dollars("0.04"))]
    assert list(Audit().differences()) == []
