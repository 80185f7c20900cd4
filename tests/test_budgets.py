"""Which budgets cover a user, what is left, and rules 1 and 3 over random histories."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import User
from billing import bounds, budgets, enforcement, ledger, limiting, rollup
from billing.audit import Audit
from billing.models import Budget, BudgetPeriod, UsageRecord
from tests.calls import NOON, dollars, hold, limit, make_price, settle

pytestmark = pytest.mark.django_db


def test_every_user_has_a_daily_and_a_monthly_budget_and_shares_one(alice: User) -> None:
    found = budgets.standings(user=alice, now=NOON)
    assert [(row.scope, row.period, row.limit) for row in found] == [
        ("user", "day", dollars("1")), ("user", "month", dollars("10")), ("everyone", "day", dollars("50")),
    ]  # fmt: skip
    assert [row.resets_at.isoformat() for row in found] == [
        "2026-03-16T00:00:00+00:00", "2026-04-01T00:00:00+00:00", "2026-03-16T00:00:00+00:00",
    ]  # fmt: skip
    assert budgets.standings(user=alice, now=NOON) == found


def test_the_default_follows_the_settings_and_a_limit_of_ones_own_does_not(
    alice: User, bob: User, settings: Any
) -> None:
    limit(user=alice, day="3")
    budgets.standings(user=bob, now=NOON)
    settings.BILLING_DAILY_BUDGET_USD = 2
    assert budgets.standings(user=alice, now=NOON)[0].limit == dollars("3")
    assert budgets.standings(user=bob, now=NOON)[0].limit == dollars("2")
    limiting.set_limit(user=alice, period="day", limit=None)
    assert budgets.standings(user=alice, now=NOON)[0].limit == dollars("2")


def test_only_the_budgets_of_ones_own_groups_count(alice: User, bob: User) -> None:
    group = Group.objects.create(name="Sales")
    Budget.objects.create(scope="group", group=group, period="month", limit=dollars("5"))
    alice.groups.add(group)
    assert [row.name for row in budgets.standings(user=alice, now=NOON)] == [
        "your daily budget", "your monthly budget", "the monthly budget of Sales", "the daily budget of everyone",
    ]  # fmt: skip
    assert len(budgets.standings(user=bob, now=NOON)) == 3


def test_the_tightest_has_the_least_left(alice: User) -> None:
    limit(user=alice, day="2", month="1")
    found = budgets.standings(user=alice, now=NOON)
    assert budgets.tightest(found).period == "month"
    limit(user=alice, month="2")
    assert budgets.tightest(budgets.standings(user=alice, now=NOON)).period == "day", "the sooner reset comes first"


def test_a_new_period_starts_from_nothing(alice: User) -> None:
    settle(hold(user=alice, price=make_price()))
    tomorrow = budgets.standings(user=alice, now=NOON + timedelta(days=1))
    assert [(row.period, row.spent) for row in tomorrow if row.scope == "user"] == [
        ("day", 0), ("month", dollars("0.002")),
    ]  # fmt: skip
    assert all(row.spent == 0 for row in budgets.standings(user=alice, now=NOON + timedelta(days=31)))


@pytest.mark.parametrize(
    ("now", "day", "hours"),
    [
        (datetime(2026, 3, 29, 12, tzinfo=UTC), date(2026, 3, 29), 23),
        (datetime(2026, 10, 25, 12, tzinfo=UTC), date(2026, 10, 25), 25),
        (datetime(2026, 6, 30, 22, 30, tzinfo=UTC), date(2026, 7, 1), 24),
    ],
)
def test_days_are_those_of_the_billing_time_zone(settings: Any, now: datetime, day: date, hours: int) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo("Europe/Berlin")
    assert budgets.spend_date(now) == day
    start = datetime.combine(day, datetime.min.time(), ZoneInfo("Europe/Berlin"))
    end = budgets.period_end(period="day", day=day)
    assert end.astimezone(UTC) - start.astimezone(UTC) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "user", "limit": 1},
        {"scope": "everyone", "limit": None, "period": "month"},
        {"scope": "group", "limit": 1},
    ],
)
def test_the_database_refuses_a_budget_of_nobody_or_without_a_limit(fields: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Budget.objects.create(**{"period": "day"} | fields)
    assert not Budget.objects.exists()


def test_one_budget_per_user_and_period(alice: User) -> None:
    limit(user=alice, day="1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Budget.objects.create(scope="user", user=alice, period="day", limit=5)
    limit(user=alice, day="2")
    assert Budget.objects.get(scope="user", user=alice, period="day").limit == dollars("2")


# Random histories: some steps, each on one of three users, a while after the one before.
users_of_history = st.integers(0, 2)
amounts = st.integers(0, 40).map(lambda tenths: dollars("0.0001") * tenths)
steps = st.one_of(
    st.tuples(st.just("hold"), users_of_history, st.integers(0, 1500), st.integers(1, 900)),
    st.tuples(st.just("settle"), st.integers(0, 20), st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.just("release"), st.integers(0, 20), st.just(0), st.just(0)),
    st.tuples(st.just("limit"), users_of_history, st.sampled_from(["day", "month"]), amounts | st.none()),
    st.tuples(st.just("limit everyone"), st.just(0), st.just(0), amounts),
    st.tuples(st.just("join or leave"), users_of_history, st.just(0), st.just(0)),
    st.tuples(st.just("time"), st.sampled_from([1, 13, 24, 24 * 20]), st.just(0), st.just(0)),
    st.tuples(st.just("beat"), st.integers(1, 3), st.just(0), st.just(0)),
)


class History:
    """Three users, a group with a budget, and what happens to them."""

    def __init__(self) -> None:
        self.now = NOON
        self.price = make_price()
        self.users = [User.objects.create(email=f"user{number}@example.com") for number in range(3)]
        self.group = Group.objects.create(name="Sales")
        Budget.objects.create(scope="group", group=self.group, period="day", limit=dollars("0.004"))

    def take(self, step: tuple[str, int, object, object]) -> None:
        kind, number, first, second = step
        limit: Any = second
        match kind:
            case "hold":
                self.hold(self.users[number], int(first), int(second))  # type: ignore[call-overload]
            case "settle" | "release":
                held = list(UsageRecord.objects.filter(state="held").select_related("price").order_by("pk"))
                if held:
                    self.end(held[number % len(held)], kind, first, second)
            case "limit":
                limiting.set_limit(user=self.users[number], period=str(first), limit=limit)
            case "limit everyone":
                Budget.objects.update_or_create(scope="everyone", period="day", defaults={"limit": limit})
            case "join or leave":
                groups = self.users[number].groups
                groups.remove(self.group) if groups.exists() else groups.add(self.group)
            case "time":
                self.now += timedelta(hours=number)
            case "beat":
                rollup.roll_up()
                enforcement.enforce_budgets(now=self.now)

    def hold(self, user: User, input_tokens: int, output_cap: int) -> None:
        before = list(BudgetPeriod.objects.order_by("pk").values_list("pk", "spent", "held"))
        records = UsageRecord.objects.count()
        try:
            hold(user=user, price=self.price, input_tokens=input_tokens, output_cap=output_cap, now=self.now)
        except budgets.BudgetExhausted:
            least = min(bounds.USEFUL_OUTPUT_TOKENS, output_cap)
            left = min(standing.left for standing in budgets.standings(user=user, now=self.now))
            assert input_tokens * dollars("1") + least * dollars("2") > left * 1_000_000
            assert UsageRecord.objects.count() == records
            kept = BudgetPeriod.objects.filter(pk__in=[pk for pk, *_ in before]).order_by("pk")
            assert list(kept.values_list("pk", "spent", "held")) == before
        else:
            for standing in budgets.standings(user=user, now=self.now):
                assert standing.spent + standing.held <= standing.limit, standing

    def end(self, record: UsageRecord, kind: str, first: object, second: object) -> None:
        if kind == "release":
            ledger.release(record=record, outcome="failed", provider_request_id="", now=self.now)
            return
        taken, given_out = int(record.input_bound * float(first)), int(record.output_cap * float(second))  # type: ignore[arg-type]
        settle(record, now=self.now, input=taken, output=given_out, cached_input=taken // 2, reasoning=given_out // 3)
        assert record.cost <= record.hold


class AnyHistory(TestCase):
    """Each history starts in an empty database."""

    @settings(max_examples=12, deadline=None)
    @given(history=st.lists(steps, max_size=25))
    def test_the_ledger_is_clean_after_every_step(self, history: list[tuple[str, int, object, object]]) -> None:
        world = History()
        for step in history:
            world.take(step)
            assert list(Audit().differences()) == []
        for record in UsageRecord.objects.filter(state="held").select_related("price"):
            settle(record, now=world.now, input=0, output=0)
        rollup.roll_up()
        assert not any(BudgetPeriod.objects.values_list("held", flat=True))
        assert list(Audit().differences()) == []


@pytest.mark.only("scaled")
def test_what_others_have_spent_today_is_not_looked_at(alice: User) -> None:
    """By the plan that is made before the tables were analysed too: a connection keeps it."""
    with connection.cursor() as cursor:  # what is known of the tables' size goes, too: it is of another test's rows
        cursor.execute("TRUNCATE billing_budget CASCADE")
    others = User.objects.bulk_create(User(email=f"other-{number}@example.com") for number in range(1000))
    rows = [Budget(scope="user", period=period, user=each) for each in others for period in ("day", "month")]
    BudgetPeriod.objects.bulk_create(
        BudgetPeriod(budget=budget, start=budgets.period_start(period=budget.period, day=NOON.date()))
        for budget in Budget.objects.bulk_create(rows)
    )
    budgets.opened(user=alice, now=NOON)
    reading = budgets.reading(user=alice, now=NOON)
    for analysed in (False, True):
        with connection.cursor() as cursor:
            if analysed:
                cursor.execute("ANALYZE billing_budget, billing_budgetperiod")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {reading.sql}", reading.params)
            plan = cursor.fetchone()[0][0]["Plan"]
        assert most_rows(plan) < 100, plan


def most_rows(plan: dict[str, Any]) -> float:
    """How many rows the step of a plan finds that finds the most."""
    here = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    return max(here, *(most_rows(part) for part in plan.get("Plans", ())), 0)
