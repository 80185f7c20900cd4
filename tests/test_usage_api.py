"""GET /api/usage/ and GET /api/budget/: the user's own money."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Token, User
from billing import rollup, usage
from billing.models import Price
from tests.calls import NOON, dollars, hold, limit, make_price, settle, spend

pytestmark = pytest.mark.django_db


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def get(user: User, path: str) -> dict[str, Any]:
    _, secret = Token.issue(user=user)
    response = Client().get(path, headers={"Authorization": f"Bearer {secret}"})
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def test_usage_is_ones_own_and_counts_what_is_not_rolled_up_yet(alice: User, bob: User, price: Price) -> None:
    now = timezone.now()
    spend(user=alice, price=price, now=now, cached_input=500, reasoning=50)
    spend(user=bob, price=price, now=now)
    rollup.roll_up()
    spend(user=alice, price=make_price(model="dear", output_price=dollars("20")), now=now)
    hold(user=alice, price=price, now=now)
    answer = get(alice, "/api/usage/")
    assert (
        answer["today"]
        == answer["month"]
        == {
            "calls": 2,
            "input_tokens": 2000,
            "cached_input_tokens": 500,
            "output_tokens": 1000,
            "reasoning_tokens": 50,
            "total_tokens": 3000,
            "cost_usd": "0.01255",
        }
    )
    assert [row["date"] for row in answer["by_day"]] == [now.date().isoformat()]
    assert [(row["model"], row["cost_usd"]) for row in answer["by_model"]] == [
        ("dear", "0.011"), ("test-model", "0.00155"),
    ]  # fmt: skip


def test_the_month_is_the_sum_of_its_days(alice: User, price: Price) -> None:
    for days in (-20, -1, 0, 0):
        spend(user=alice, price=price, now=NOON + timedelta(days=days))
        rollup.roll_up()
    month, today = usage.this_month(user=alice, now=NOON)
    assert month.total.cost == dollars("0.006"), "last month's call is not in it"
    assert month.of_day(today).cost == dollars("0.004")
    found = month.as_json(today=today)["by_day"]
    assert [(row["date"], row["calls"]) for row in found] == [("2026-03-15", 2), ("2026-03-14", 1)]


def test_nothing_spent_is_zero(alice: User) -> None:
    answer = get(alice, "/api/usage/")
    assert (answer["today"]["cost_usd"], answer["by_day"], answer["by_model"]) == ("0.00", [], [])


def test_the_budget_is_the_tightest_and_all_are_listed(alice: User, price: Price) -> None:
    limit(user=alice, day="0.01")
    now = timezone.now()
    settle(hold(user=alice, price=price, now=now), now=now)
    hold(user=alice, price=price, now=now)
    answer = get(alice, "/api/budget/")
    assert (answer["remaining_usd"], answer["limit_usd"], answer["period"]) == ("0.006", "0.01", "day")
    assert answer["resets_at"].endswith("T00:00:00+00:00")
    assert [row["name"] for row in answer["budgets"]] == [
        "your daily budget", "your monthly budget", "the daily budget of everyone",
    ]  # fmt: skip
    assert (answer["budgets"][0]["spent_usd"], answer["budgets"][0]["held_usd"]) == ("0.002", "0.002")


@pytest.mark.parametrize("path", ["/api/usage/", "/api/budget/"])
def test_strangers_are_turned_away(db: None, path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "not_authenticated"
