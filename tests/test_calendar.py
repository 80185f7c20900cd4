"""Days of 23 and 25 hours, midnight in mid-call, and people who change groups: whose budget, which day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group

from accounts.models import User
from billing import budgets, enforcement, rollup
from billing.audit import Audit
from billing.models import Account, Budget, BudgetPeriod, DailySpend, Price, UsageRecord
from tests.calls import NOON, dollars, hold, limit, make_price, settle, spend

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def price(settings: Any) -> Price:
    settings.CHAT_MODELS = {"fast": "test-model", "smart": "test-model"}
    return make_price()


@pytest.mark.parametrize(
    ("zone", "day", "first", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        ("Europe/Berlin", date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        # The clocks change at midnight itself: it is left out, comes twice, or an hour before it does.
        ("America/Santiago", date(2026, 9, 6), datetime(2026, 9, 6, 4, tzinfo=UTC), 23),
        ("America/Havana", date(2026, 11, 1), datetime(2026, 11, 1, 4, tzinfo=UTC), 25),
        ("America/Santiago", date(2026, 4, 4), datetime(2026, 4, 4, 3, tzinfo=UTC), 25),
    ],
)
def test_a_day_of_23_or_25_hours_has_one_budget_from_its_first_instant_to_its_last(
    alice: User, price: Price, settings: Any, zone: str, day: date, first: datetime, hours: int
) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo(zone)
    limit(user=alice, day="0.004")
    last = first + timedelta(hours=hours) - timedelta(microseconds=1)
    before, after = first - timedelta(microseconds=1), last + timedelta(microseconds=1)
    for now in (before, first, last):
        spend(user=alice, price=price, now=now)
    with pytest.raises(budgets.BudgetExhausted) as refused:
        hold(user=alice, price=price, now=last)
    assert datetime.fromisoformat(refused.value.details["resets_at"]) == after
    enforcement.enforce_budgets(now=last)
    assert Account.objects.get(user=alice).disabled_until == after
    enforcement.enforce_budgets(now=after)
    spend(user=alice, price=price, now=after)
    rollup.roll_up()
    days = DailySpend.objects.order_by("spend_date").values_list("spend_date", "cost")
    assert list(days) == [
        (day - timedelta(days=1), dollars("0.002")),
        (day, dollars("0.004")),
        (day + timedelta(days=1), dollars("0.002")),
    ]  # fmt: skip
    assert list(Audit().differences()) == []


def test_a_call_held_before_midnight_of_the_months_end_is_that_months_however_late_it_ends(
    alice: User, price: Price, settings: Any
) -> None:
    settings.BILLING_TIME_ZONE = BERLIN
    held_at = datetime(2026, 3, 31, 21, 59, 59, tzinfo=UTC)  # 23:59:59 in Berlin, after the clocks changed
    record = hold(user=alice, price=price, now=held_at)
    limit(user=alice, month="0.002")
    assert hold(user=alice, price=price, now=held_at + timedelta(seconds=1)).spend_date == date(2026, 4, 1)
    settle(record, now=held_at + timedelta(minutes=5))
    months = BudgetPeriod.objects.filter(budget__user=alice, budget__period="month").order_by("start")
    assert [(row.start, row.spent, row.held) for row in months] == [
        (date(2026, 3, 1), dollars("0.002"), 0), (date(2026, 4, 1), 0, dollars("0.002")),
    ]  # fmt: skip
    rollup.roll_up()
    assert DailySpend.objects.get().spend_date == date(2026, 3, 31)
    assert list(Audit().differences()) == []


def test_who_changes_groups_leaves_what_was_spent_where_it_was_spent(alice: User, price: Price) -> None:
    sales, research = Group.objects.create(name="Sales"), Group.objects.create(name="Research")
    for group in (sales, research):
        Budget.objects.create(scope="group", group=group, period="month", limit=dollars("0.004"))
    alice.groups.add(sales)
    spend(user=alice, price=price)
    running = hold(user=alice, price=price, now=NOON + timedelta(days=1))
    alice.groups.set([research])
    spend(user=alice, price=price, now=NOON + timedelta(days=2))
    settle(running, now=NOON + timedelta(days=2))
    months = BudgetPeriod.objects.filter(budget__scope="group").order_by("budget__group__name")
    assert [(row.budget.group.name, row.spent) for row in months.select_related("budget__group")] == [
        ("Research", dollars("0.002")), ("Sales", dollars("0.004")),
    ]  # fmt: skip
    records = UsageRecord.objects.order_by("pk").values_list("group_name", "spend_date")
    assert list(records) == [
        ("Sales", date(2026, 3, 15)),
        ("Sales", date(2026, 3, 16)),
        ("Research", date(2026, 3, 17)),
    ]
    assert hold(user=alice, price=price, now=NOON + timedelta(days=2)).group_id == research.pk, (
        "Sales is full, Research is not"
    )
    assert list(Audit().differences()) == []
