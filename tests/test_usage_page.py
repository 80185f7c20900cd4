"""The usage page, and the figures, meters and chart on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import chart, limiting, money, usage
from billing.models import Budget, Price
from billing.purse import purse
from tests.talks import make_call, make_conversation, reply_of

NOW = datetime(2026, 11, 24, 14, 9, tzinfo=UTC)
USAGE_QUERIES = 7  # session, user, budgets, account, the month, recent calls, whether reports may be read

Queries = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_the_purse_never_flatters(alice: User, prices: dict[str, Price]) -> None:
    make_call(alice, prices["gpt-4o"], at=NOW)
    make_call(alice, prices["gpt-4o-mini"], at=NOW, settled=False)
    limiting.set_limit(user=alice, period=Budget.Period.DAY, limit=4_000_000)
    day = purse(user=alice, now=NOW).day
    assert (day.standing.spent, day.standing.held, day.standing.left) == (3_500_000, 450_000, 50_000)
    assert (day.spent_width, day.held_width, day.used, day.near, day.empty) == ("87.50%", "11.25%", 99, True, False)
    limiting.set_limit(user=alice, period=Budget.Period.DAY, limit=1_000_000)
    lowered = purse(user=alice, now=NOW)
    assert (lowered.day.spent_width, lowered.day.held_width, lowered.day.empty) == ("100.00%", "0.00%", True)
    assert lowered.stopped_by == lowered.day.standing


def test_the_usage_page_shows_the_ledger_s_figures(
    signed_in: Client, alice: User, bob: User, prices: dict[str, Price]
) -> None:
    now = timezone.now()
    conversation = make_conversation(alice, title="Asked <here>")
    reply_of(conversation, make_call(alice, prices["gpt-4o"], at=now), content="x", ended_at=now)
    make_call(alice, prices["gpt-4o-mini"], at=now, outcome="stopped", measured="estimated")
    make_call(alice, prices["gpt-4o-mini"], at=now, settled=False)
    make_call(bob, prices["gpt-4o"], at=now)
    html = signed_in.get("/usage/").content.decode()
    total = '$0.00<span class="nano">3710000</span>'
    assert html.count(f'<span class="big">{total}</span>') == 2
    cells = ["2,000", "0", "200", "100.00%", total]
    assert "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr></tfoot>" in html
    assert f'<a class="name" href="/c/{conversation.pk}/">Asked &lt;here&gt;</a>' in html
    assert '<span class="est">≈ $0.00021</span>' in html
    assert "<td>running</td>" in html


def test_the_usage_page_takes_as_many_queries_for_many_calls(
    signed_in: Client, alice: User, prices: dict[str, Price], django_assert_num_queries: Queries
) -> None:
    signed_in.get("/usage/")
    for calls in (1, 30):
        for _ in range(calls):
            make_call(alice, prices["gpt-4o-mini"], at=timezone.now())
        with django_assert_num_queries(USAGE_QUERIES):
            html = signed_in.get("/usage/").content.decode()
    assert "Older calls" in html


def test_the_calls_are_paged_without_a_gap(alice: User, prices: dict[str, Price]) -> None:
    made = [make_call(alice, prices["gpt-4o-mini"], at=NOW - timedelta(minutes=n // 3)).pk for n in range(25)]
    found: list[int] = []
    before = None
    while True:
        page = usage.recent_calls(user=alice, before=before, count=10)
        found += [row["pk"] for row in page.rows]
        if page.before is None:
            break
        before = page.before
    assert sorted(found) == sorted(made)
    assert len(found) == 25


def test_a_month_adds_up_by_day_and_by_model(alice: User, prices: dict[str, Price]) -> None:
    for day in (1, 1, 23, 24):
        make_call(alice, prices["gpt-4o-mini"], at=NOW.replace(day=day))
    make_call(alice, prices["gpt-4o"], at=NOW)
    make_call(alice, prices["gpt-4o"], at=NOW - timedelta(days=30))  # October
    make_call(alice, prices["gpt-4o"], at=NOW, settled=False)
    month = usage.month(user=alice, day=NOW.date())
    assert month.models == ("gpt-4o", "gpt-4o-mini")
    assert month.total.calls == 5
    assert month.total.cost == 4 * 210_000 + 3_500_000
    assert [(model, sums.cost) for model, sums in month.by_model()] == [("gpt-4o", 3_500_000), ("gpt-4o-mini", 840_000)]
    days = month.by_day(until=NOW.date())
    assert len(days) == 24
    assert sum(total.cost for *_, total in days) == month.total.cost


def test_a_chart_stacks_models_and_draws_the_limit_where_it_is_in_reach(alice: User, prices: dict[str, Price]) -> None:
    make_call(alice, prices["gpt-4o-mini"], at=NOW)
    make_call(alice, prices["gpt-4o"], at=NOW)
    month = usage.month(user=alice, day=NOW.date())
    days = [(day, [total.cost for total in models]) for day, models, _ in month.by_day(until=month.last)]
    drawn = chart.draw(days=days, names=month.models, limit=4_000_000)
    bar = drawn.bars[23]
    assert drawn.highest == bar
    assert [rect.series for rect in bar.rects] == [1, 2]
    assert bar.rects[0].y + bar.rects[0].height == pytest.approx(chart.BASE, abs=0.2)
    assert bar.rects[1].y + bar.rects[1].height == pytest.approx(bar.rects[0].y - chart.GAP, abs=0.2)
    assert drawn.limit is not None
    assert chart.TOP <= drawn.limit.y < bar.rects[1].y
    assert chart.draw(days=days, names=month.models, limit=money.NANO_PER_DOLLAR).limit is None


def test_a_chart_gathers_what_it_cannot_tell_apart_and_turns_many_days_into_months() -> None:
    first = NOW.date().replace(day=1)
    days = [(first + timedelta(days=offset), [6, 5, 4, 3, 2, -1]) for offset in range(100)]
    drawn = chart.draw(days=days, names=list("abcdef"))
    assert drawn.series == [(1, "a"), (2, "b"), (3, "c"), (4, "other")]
    assert [bar.name for bar in drawn.bars] == ["November 2026", "December 2026", "January 2027", "February 2027"]
    assert sum(bar.total for bar in drawn.bars) == 1900
    assert dict(drawn.bars[0].amounts) == {"a": 180, "b": 150, "c": 120, "other": 120}


def test_what_is_below_zero_has_no_bar_but_is_named() -> None:
    (bar,) = chart.draw(days=[(NOW.date(), [-5, 3])], names=["a", "b"]).bars
    assert [rect.series for rect in bar.rects] == [2]
    assert (bar.total, bar.amounts) == (-2, [("a", -5), ("b", 3)])


def test_the_forecast_goes_on_as_until_today(alice: User, prices: dict[str, Price]) -> None:
    make_call(alice, prices["gpt-4o"], at=NOW)
    assert usage.month(user=alice, day=NOW.date()).forecast(today=NOW.date()) == 3_500_000 * 30 // 24
