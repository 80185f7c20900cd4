"""The months of demo data: as the product would have written them, the same at every run."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from billing import closing, demo
from billing.audit import Audit
from billing.models import Account, Act, BudgetPeriod, DailySpend, Price, UsageRecord
from tests.calls import at_once, make_price, spend

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once("embedded")]

NOW = datetime(2026, 3, 24, 15, tzinfo=UTC)  # a Tuesday


@pytest.fixture
def priced(prices: dict[str, Price]) -> dict[str, Price]:
    return prices


def figures() -> list[tuple[Any, ...]]:
    names = ("user__email", "held_at", "kind", "model", "feature", "outcome", "input_tokens", "output_tokens", "cost")
    return list(UsageRecord.objects.order_by("held_at", "provider_request_id", "pk").values_list(*names))


def test_a_month_is_clean_and_worth_looking_at(staff: User, priced: dict[str, Price]) -> None:
    done = demo.seed(months=1, by=staff, prices=priced, now=NOW)
    assert list(Audit().differences()) == []
    assert done.days == 24
    assert done.records == UsageRecord.objects.count() > 1000
    assert UsageRecord.objects.latest("held_at").settled_at <= NOW
    assert set(UsageRecord.objects.values_list("kind", flat=True)) == set(UsageRecord.Kind.values) - {"adjustment"}
    by_weekday = {day.weekday() > 4: 0 for day in (date(2026, 3, 1), date(2026, 3, 2))}
    for day, calls in DailySpend.objects.values_list("spend_date", "calls"):
        by_weekday[day.weekday() > 4] += calls
    assert by_weekday[False] > 10 * by_weekday[True] > 0
    assert set(DailySpend.objects.exclude(model="").values_list("model", flat=True)) == {"gpt-4o", "gpt-4o-mini"}
    assert set(Account.objects.disabled().values_list("user__email", "disabled_by")) == {
        ("farid@example.com", "staff"), ("hugo@example.com", "budget"),
    }  # fmt: skip
    near = BudgetPeriod.objects.get(budget__user__email="greta@example.com", budget__period="month")
    assert near.budget.limit
    assert 90 <= near.spent * 100 // near.budget.limit < 95


def test_again_adds_nothing_and_a_later_day_only_itself(staff: User, priced: dict[str, Price]) -> None:
    demo.seed(months=1, by=staff, prices=priced, now=NOW)
    before = figures()
    assert demo.seed(months=1, by=staff, prices=priced, now=NOW).records == 0
    assert figures() == before
    more = demo.seed(months=1, by=staff, prices=priced, now=NOW.replace(day=25))
    assert more.days == 1
    assert figures()[: len(before)] == before
    assert list(Audit().differences()) == []


@pytest.mark.once("scaled")
def test_two_at_once_add_every_day_once(staff: User, priced: dict[str, Price]) -> None:
    now = NOW.replace(day=6, hour=19)
    added = at_once(lambda _number: str(demo.seed(months=1, by=staff, prices=priced, now=now).records), 2)
    calls = UsageRecord.objects.filter(kind="call")
    assert sum(map(int, added)) == UsageRecord.objects.count()
    assert calls.count() == calls.values("provider_request_id").distinct().count() > 100
    assert Act.objects.filter(kind="disable").count() == 1
    assert list(Audit().differences()) == []


def test_what_is_drawn_depends_on_nothing_but_the_day(staff: User, priced: dict[str, Price]) -> None:
    days = [date(2026, 3, number) for number in range(2, 10)]
    drawn = {call.held_at: call for day in days for call in demo.of_day(day)}
    assert drawn == {call.held_at: call for day in reversed(days) for call in demo.of_day(day)}
    demo.seed(months=1, by=staff, prices=priced, now=NOW.replace(day=9))
    for record in UsageRecord.objects.filter(kind="call", state="settled", spend_date__in=days).select_related("user"):
        call = drawn[record.held_at]
        assert (record.user.email, record.model) == (call.person.email, call.model)
        assert (record.input_tokens, record.output_tokens) == (call.tokens.input, call.tokens.output)


def test_no_budget_is_ever_overrun(staff: User, priced: dict[str, Price], settings: Any) -> None:
    settings.BILLING_DAILY_BUDGET_USD = settings.BILLING_DAILY_BUDGET_USD / 20  # five cents
    demo.seed(months=1, by=staff, prices=priced, now=NOW)
    assert list(Audit().differences()) == []
    days = BudgetPeriod.objects.filter(budget__scope="user", budget__period="day")
    assert max(days.values_list("spent", flat=True)) <= 50_000_000


def test_another_time_zone_and_real_calls_beside_it(
    staff: User, alice: User, priced: dict[str, Price], settings: Any
) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo("Pacific/Auckland")
    spend(user=alice, price=make_price(), now=NOW)
    demo.seed(months=2, by=staff, prices=priced, now=NOW)
    assert list(Audit().differences()) == []
    assert UsageRecord.objects.filter(user=alice).count() == 1
    days = set(UsageRecord.objects.values_list("spend_date", flat=True))
    assert (min(days).month, max(days)) == (2, date(2026, 3, 25)), "in Auckland it is tomorrow"


def test_a_closed_month_stays_as_it_is(staff: User, priced: dict[str, Price]) -> None:
    closing.close(month=date(2026, 2, 1), by=staff, now=NOW)
    done = demo.seed(months=2, by=staff, prices=priced, now=NOW)
    assert len(done.skipped) == 28
    assert UsageRecord.objects.earliest("spend_date").spend_date >= date(2026, 3, 1)


def test_a_month_that_is_closed_meanwhile_stays_as_it_is(
    staff: User, priced: dict[str, Price], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = closing.is_closed, list[date]()

    def closed_once_looked_at(*, day: date) -> bool:
        found = look(day=day)
        looks.append(day)
        if len(looks) == 1:
            closing.close(month=day, by=staff, now=NOW)
        return found

    monkeypatch.setattr(closing, "is_closed", closed_once_looked_at)
    done = demo.seed(months=2, by=staff, prices=priced, now=NOW)
    assert len(done.skipped) == 28
    assert UsageRecord.objects.earliest("spend_date").spend_date >= date(2026, 3, 1)
    assert list(Audit().differences()) == []


def test_the_command_brings_prices_and_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seed_demo", "--months", "1")
    assert " usage records of " in capsys.readouterr().out
    assert User.objects.filter(email="ada@example.com").exists()
    assert list(Audit().differences()) == []
    for months in ("-1", "37"):
        with pytest.raises(CommandError, match="--months"):
            call_command("seed_demo", "--months", months)
