"""What staff see about spend: the dashboard, the list of users, a user's own page, and that big tables stay usable."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from billing import budgets, corrections, enforcement, limiting, meters, overview, rollup
from billing.models import Account, Act, Budget, BudgetPeriod, DailySpend, Price, UsageRecord
from billing.overview import Sums
from tests.calls import at_once, dollars, hold, limit, make_price, spend
from tests.clients import signed_in
from tests.test_admin import act, address

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 18, 15, tzinfo=UTC)  # a Wednesday
DASHBOARD_QUERIES = 12  # session, user, five or seven of the dashboard, recent actions and their kinds, SQLite's begin
LIST_QUERIES = 9


@pytest.fixture
def price(settings: Any) -> Price:
    settings.CHAT_MODELS = {"fast": "test-model", "smart": "test-model"}
    return make_price()


@pytest.fixture
def office(staff: User) -> Client:
    client = Client()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    return client


def key() -> dict[str, str]:
    """What a form has that was opened just now."""
    return {"idempotency_key": str(uuid4())}


def clerk(user: User, *codenames: str) -> Client:
    """Staff with some permissions."""
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_the_dashboard_says_what_the_records_say(alice: User, bob: User, staff: User, price: Price) -> None:
    other = make_price(model="other")
    for day in (1, 17, 18):
        spend(user=alice, price=price, now=NOW.replace(day=day))
    rollup.roll_up()
    spend(user=bob, price=other, now=NOW, input=3000)  # waits for the roll-up
    spend(user=bob, price=price, now=NOW - timedelta(days=20))
    hold(user=bob, price=price, now=NOW)
    corrections.write_off(user=alice, amount=dollars("0.0005"), by=staff, reason="Sorry.", now=NOW)
    limiting.set_limit(user=bob, period="day", limit=dollars("1"))
    Budget.objects.create(scope="everyone", period="month", limit=dollars("10"))
    found = overview.overview(now=NOW)
    today = dollars("0.002") + dollars("0.004") - dollars("0.0005")
    assert found.sums.spent_today == today
    assert found.sums.spent_this_month == today + 2 * dollars("0.002")
    assert [(spender.user, spender.calls, spender.cost) for spender in found.spenders] == [
        (alice, 3, dollars("0.0055")), (bob, 1, dollars("0.004")),
    ]  # fmt: skip
    assert found.sums.by_model == [
        ("test-model", dollars("0.008")), ("other", dollars("0.004")), ("", dollars("-0.0005"))
    ]  # fmt: skip
    assert found.day is not None
    assert (found.day.standing.spent, found.day.standing.held) == (dollars("0.006"), dollars("0.002"))
    assert found.month is not None
    assert found.month.standing.limit == dollars("10")
    assert len(found.chart.bars) == 30
    assert found.chart.bars[-1].total == today


def test_an_empty_product_has_a_dashboard(office: Client) -> None:
    html = office.get("/admin/").content.decode()
    assert "Nothing was spent in the last 30 days." in html
    assert "Nobody has spent anything yet." in html
    assert "$50.00" in html, "the budget of everyone that the settings give"
    assert overview.overview(now=NOW).sums.forecast == 0


def test_the_dashboard_says_why_a_budget_is_not_the_sum(office: Client, alice: User, staff: User, price: Price) -> None:
    now = timezone.now()
    Budget.objects.create(scope="everyone", period="month", limit=dollars("10"))
    spend(user=alice, price=price, now=now)
    why = "Credit, write-offs, adjustments and corrections of earlier"
    assert why not in office.get("/admin/").content.decode()
    corrections.write_off(user=alice, amount=dollars("0.0005"), by=staff, reason="Sorry.", now=now)
    html = office.get("/admin/").content.decode()
    assert f"{why} days" in html
    assert f"{why} months" in html


def sums(today: date, costs: dict[date, int]) -> Sums:
    days = [today - timedelta(days=offset) for offset in reversed(range(31))]
    return Sums(
        taken_at=NOW, today=today, models=("m",), days=tuple((day, (costs.get(day, 0),)) for day in days), spenders=()
    )


def test_the_forecast_knows_weekdays() -> None:
    today = date(2026, 3, 18)
    weekdays = {today - timedelta(days=offset): 0 for offset in range(1, 31)}
    costs = {day: 100 if day.weekday() < 5 else 10 for day in weekdays}
    assert sums(today, costs).spent_this_month == 12 * 100 + 5 * 10
    rest = 10 * 100 + 4 * 10  # today and nine weekdays, four days of weekends
    assert sums(today, costs).forecast == 1250 + rest
    assert sums(today, costs | {today: 60}).forecast == 1250 + rest, "today may still become such a Wednesday"
    assert sums(today, costs | {today: 500}).forecast == 1250 + rest + 400
    assert sums(today, {date(2026, 3, 17): 70}).forecast == 70 + 14 * 70, "one day is all that is known"
    assert sums(today, {today: 7}).forecast == 7
    assert sums(date(2026, 3, 31), {date(2026, 3, 1): 5}).spent_this_month == 5, "the 1st is still in sight"


def test_sums_that_took_long_are_kept_for_a_while_and_not_into_another_day(
    alice: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "SMALLEST", 0)
    overview.overview(now=NOW)
    cache.set("billing:overview", overview.take(now=NOW), timeout=60)
    spend(user=alice, price=price, now=NOW)
    assert overview.overview(now=NOW).sums.spent_today == 0
    assert overview.overview(now=NOW + timedelta(days=1)).sums.today == date(2026, 3, 19)
    monkeypatch.undo()
    cache.clear()
    assert overview.overview(now=NOW).sums.spent_today == dollars("0.002")
    spend(user=alice, price=price, now=NOW)
    assert overview.overview(now=NOW).sums.spent_today == dollars("0.004"), "a small installation sees this instant"


def test_days_are_of_the_billing_zone(alice: User, price: Price, settings: Any) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo("America/Los_Angeles")
    now = datetime(2026, 4, 1, 3, tzinfo=UTC)  # in Los Angeles it is still March
    spend(user=alice, price=price, now=now)
    found = overview.overview(now=now)
    assert (found.sums.today, found.sums.spent_this_month) == (date(2026, 3, 31), dollars("0.002"))
    assert found.sums.forecast == dollars("0.002")


def test_who_is_disabled_and_why_and_the_budgets_of_groups(
    office: Client, alice: User, bob: User, finance: User, price: Price
) -> None:
    group = Group.objects.get(name="Finance")
    alice.groups.add(group)
    Budget.objects.create(scope="group", group=group, period="month", limit=dollars("0.0025"))
    spend(user=alice, price=price, now=timezone.now())
    enforcement.disable(users=[bob], by="staff", reason="<b>On leave</b>", until=None, now=timezone.now())
    limit(user=alice, day="0.002")
    enforcement.enforce_budgets(now=timezone.now())
    html = office.get("/admin/").content.decode()
    assert "&lt;b&gt;On leave&lt;/b&gt;" in html
    assert "The daily budget is used up." in html
    assert "80%" in html


@pytest.mark.parametrize("who", ["clerk without permissions", "clerk", "staff"])
def test_only_who_may_see_daily_spend_sees_the_dashboard(
    alice: User, staff: User, bob: User, price: Price, who: str
) -> None:
    spend(user=bob, price=price, now=timezone.now())
    clients = {
        "clerk without permissions": lambda: clerk(alice, "view_user"),
        "clerk": lambda: clerk(alice, "view_dailyspend"),
        "staff": lambda: clerk(staff),
    }
    html = clients[who]().get("/admin/").content.decode()
    assert ("Who spent most" in html) == (who != "clerk without permissions")
    assert ("/spend/" in html) == (who == "staff"), "names are links for those who may see users"


def test_the_page_of_a_user(office: Client, alice: User, bob: User, staff: User, price: Price) -> None:
    now = timezone.now()
    record = spend(user=alice, price=price, now=now)
    corrections.grant_credit(user=alice, amount=dollars("0.001"), by=staff, reason="An outage.", now=now)
    html = office.get(f"/admin/accounts/user/{alice.pk}/spend/").content.decode()
    assert '$0.00<span class="nano">1000000</span>' in html
    assert "An outage." in html
    assert f"/admin/billing/usagerecord/{record.pk}/change/" in html
    listed = f"/admin/billing/usagerecord/?user__id__exact={alice.pk}"
    assert listed in html
    spend(user=bob, price=price, now=now)
    rows = office.get(f"{listed}&spend_date={record.spend_date}").content.decode()
    assert "2 usage records" in rows
    assert "bob@example.com" not in rows
    assert office.get("/admin/accounts/user/999999/spend/").status_code == 404
    change = office.get(address(User, alice.pk, "change")).content.decode()
    assert f"/admin/accounts/user/{alice.pk}/spend/" in change


def test_who_may_see_a_user_s_page(alice: User, bob: User, finance: User) -> None:
    page = f"/admin/accounts/user/{bob.pk}/spend/"
    assert Client().get(page).status_code == 302
    for user in (bob, finance):
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        assert client.get(page).status_code == 302
    assert clerk(alice, "view_user").get(page).status_code == 403
    assert clerk(alice, "view_usagerecord").get(page).status_code == 403
    assert clerk(alice, "view_usagerecord", "view_user").get(page).status_code == 200


def emails(office: Client, **query: object) -> set[str]:
    html = office.get(address(User), query).content.decode()
    return {name for name in ("alice", "bob", "charlie") if f">{name}@example.com<" in html}


def test_the_list_of_users_shows_spend_and_filters(
    office: Client, alice: User, bob: User, charlie: User, price: Price
) -> None:
    now = timezone.now()
    spend(user=alice, price=price, now=now)
    limit(user=alice, day="0.0025", month="1")
    spend(user=bob, price=price, now=now)
    limit(user=bob, day="1", month="0.002")
    spend(user=charlie, price=price, now=now)
    charlie.groups.add(Group.objects.create(name="Guests"))
    html = office.get(address(User)).content.decode()
    assert "$0.01 of $0.00" in html, "spent rounds up, a limit down"
    assert "80%" in html
    assert emails(office) == {"alice", "bob", "charlie"}
    assert emails(office, budget="80") == {"alice", "bob"}
    assert emails(office, budget="100") == {"bob"}
    assert emails(office, groups__id__exact=Group.objects.get(name="Guests").pk) == {"charlie"}
    enforcement.enforce_budgets(now=now)
    enforcement.disable(users=[charlie], by="staff", reason="Because.", until=None, now=now)
    assert emails(office, account="disabled") == {"bob", "charlie"}
    assert emails(office, account="budget") == {"bob"}
    assert emails(office, account="staff") == {"charlie"}
    assert emails(office, account="nonsense") == emails(office, budget="7") == {"alice", "bob", "charlie"}
    day = budgets.spend_date(now)
    assert meters.users_over(percent=80, now=datetime(day.year + 1, 1, 2, tzinfo=UTC), most=10) == []
    assert len(meters.users_over(percent=80, now=now, most=1)) == 1


def test_staff_raise_limits_and_the_user_may_send_again(office: Client, alice: User, bob: User, price: Price) -> None:
    limit(user=alice, day="0")
    enforcement.enforce_budgets(now=timezone.now())
    nothing = act(office, "raise_limit", alice, **key(), apply="yes", period="day", more="0")
    assert "More than nothing." in nothing.content.decode()
    given = {**key(), "apply": "yes", "period": "day", "more": "0.50", "reason": "A deadline."}
    done = act(office, "raise_limit", alice, bob, **given)
    assert "The daily limit of 2 users raised by $0.50." in done.content.decode()
    assert "This form was sent before" in act(office, "raise_limit", alice, bob, **given).content.decode()
    limits = {budget.user: budget.limit for budget in Budget.objects.filter(period="day", scope="user")}
    assert limits == {alice: dollars("0.5"), bob: dollars("1.5")}
    assert not Account.objects.disabled().exists()
    trail = Act.objects.filter(kind="limit").latest("pk")
    assert (trail.by_name, trail.reason, trail.user) == ("staff@example.com", "A deadline.", bob)


def test_staff_grant_credit_and_write_off(office: Client, staff: User, alice: User, price: Price) -> None:
    now = timezone.now()
    spend(user=alice, price=price, now=now)
    limit(user=alice, month="0.002")
    enforcement.enforce_budgets(now=now)
    for wrong in ({"amount": "0", "reason": "x"}, {"amount": "1", "reason": " "}, {"amount": "-1", "reason": "x"}):
        assert act(office, "grant_credit", alice, **key(), apply="yes", **wrong).status_code == 200
        assert not UsageRecord.objects.exclude(kind="call").exists(), wrong
    done = act(office, "grant_credit", alice, **key(), apply="yes", amount="0.25", reason="An outage.")
    assert "Credit of $0.25 granted to 1 user." in done.content.decode()
    credit = UsageRecord.objects.get(kind="credit")
    assert (credit.cost, credit.booked_by, credit.reason) == (-dollars("0.25"), staff, "An outage.")
    assert not Account.objects.disabled().exists(), "the credit makes room"
    act(office, "write_off", alice, **key(), apply="yes", amount="0.001", reason="A test.")
    assert UsageRecord.objects.get(kind="write_off").cost == -dollars("0.001")


@pytest.mark.parametrize(("action", "kind"), [("grant_credit", "credit"), ("write_off", "write_off")])
def test_a_form_that_is_sent_twice_books_once(
    office: Client, alice: User, bob: User, price: Price, action: str, kind: str
) -> None:
    given = {"apply": "yes", "amount": "0.25", "reason": "An outage."}
    keys = []
    for count in (2, 4):  # users whom each form, opened anew, has booked for
        page = act(office, action, alice, bob).content.decode()
        keys += re.findall(r'<input type="hidden" name="idempotency_key" value="([\w-]{36})"', page)
        first = act(office, action, alice, bob, **given, idempotency_key=keys[-1]).content.decode()
        assert ("2 users." in first, "This form was sent before" in first) == (True, False)
        again = act(office, action, alice, bob, **given, idempotency_key=keys[-1]).content.decode()
        assert ("2 users." in again, "This form was sent before" in again) == (False, True)
        assert UsageRecord.objects.filter(kind=kind).count() == Act.objects.count() == count
    assert len(set(keys)) == 2
    act(office, action, alice, **given)
    assert Act.objects.count() == 4, "a form without a key books nothing"


def test_a_form_that_is_sent_twice_at_once_books_once(alice: User, staff: User) -> None:
    given: dict[str, Any] = key() | {"apply": "yes", "amount": "0.25", "reason": "An outage."}

    def send(number: int) -> str:
        page = act(signed_in(staff), "grant_credit", alice, **given).content.decode()
        return "done before" if "This form was sent before" in page else "done"

    assert sorted(at_once(send, 3)) == ["done", "done before", "done before"]
    assert UsageRecord.objects.get().cost == -dollars("0.25")


def test_money_needs_a_permission_of_its_own(alice: User, bob: User) -> None:
    changer = clerk(alice, "change_user", "view_user")
    html = changer.get(address(User)).content.decode()
    assert ('value="disable"' in html, 'value="grant_credit"' in html) == (True, False)
    act(changer, "grant_credit", bob, **key(), apply="yes", amount="1", reason="Mine.")
    act(changer, "write_off", bob, **key(), apply="yes", amount="1", reason="Mine.")
    assert not UsageRecord.objects.exists()


def test_limits_need_the_permission_that_budgets_need(alice: User, bob: User) -> None:
    asked = {
        "set_budget": {"apply": "yes", "period": "day", "limit": "9"},
        "raise_limit": {**key(), "apply": "yes", "period": "month", "more": "9"},
    }
    for permissions, budgets_made in ((["change_user"], 0), (["change_budget"], 2)):
        client = clerk(alice, "view_user", *permissions)
        html = client.get(address(User)).content.decode()
        assert {f'value="{action}"' in html for action in asked} == {bool(budgets_made)}
        for action, given in asked.items():
            act(client, action, bob, **given)
        assert Budget.objects.filter(user=bob).count() == Act.objects.count() == budgets_made


def test_an_action_takes_a_bounded_number_of_users(
    office: Client, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.admin.user_actions.MOST_USERS", 2)
    users = [make_user(name) for name in ("one", "two", "three")]
    for action in ("disable", "enable", "raise_limit"):
        done = act(office, action, *users, apply="yes", reason="x", period="day", more="1")
        assert "At most 2 users at once." in done.content.decode()
    assert not Account.objects.exists()
    assert not Budget.objects.exclude(scope="everyone").exists()


@pytest.mark.parametrize("page", ["/admin/", "/admin/accounts/user/", "/admin/accounts/user/?budget=80"])
def test_as_many_queries_at_200_users_as_at_10(
    office: Client, make_user: Callable[..., User], price: Price, page: str
) -> None:
    counts = []
    made = 0
    for number in (10, 200):
        users = [make_user(f"user{index}") for index in range(made, number)]
        made = number
        for user in users[:25]:
            spend(user=user, price=price, now=timezone.now())
            limit(user=user, day="0.002")
        enforcement.enforce_budgets(now=timezone.now())
        rollup.roll_up()
        office.get(page)
        with CaptureQueriesContext(connection) as captured:
            assert office.get(page).status_code == 200
        counts.append(len(captured))
        counting = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
        assert all("LIMIT 5000" in sql for sql in counting), counting
    assert counts[0] == counts[1] <= (DASHBOARD_QUERIES if page == "/admin/" else LIST_QUERIES), counts


def test_lists_look_no_further_than_they_must(
    office: Client, alice: User, bob: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.admin.recent.RECENT", 3)
    for day in range(1, 11):
        spend(user=alice if day < 3 else bob, price=price, now=NOW.replace(day=day))
    rollup.roll_up()

    def listed(model: Any, **query: object) -> int:
        return len(office.get(address(model), query).context_data["cl"].result_list)

    assert listed(UsageRecord) == 4, "the day of the newest but three, and what came after"
    assert listed(UsageRecord, measured__exact="estimated") == 0
    assert listed(UsageRecord, q="alice@") == 2
    assert listed(UsageRecord, q="nobody") == 0
    assert listed(UsageRecord, user__id__exact=alice.pk) == 2
    assert listed(UsageRecord, spend_date="2026-03-01") == 1
    assert listed(BudgetPeriod, whose="everyone") == 10
    first = UsageRecord.objects.earliest("pk")
    assert office.get(address(UsageRecord, first.pk, "change")).status_code == 200, "an old one can still be opened"


OTHER_WAYS = ("seqscan", "bitmapscan", "hashjoin", "mergejoin")


def plan(office: Client, model: Any, **query: object) -> str:
    """How the database finds a page of a list; PostgreSQL is told that other ways are dear."""
    page = office.get(address(model), query).context_data["cl"].queryset[:50]
    sorted_by_index = not query.keys() & {"whose", "start"}
    ways = (*OTHER_WAYS, "sort") if sorted_by_index else OTHER_WAYS
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("; ".join(f"SET enable_{way} = off" for way in ways))
        try:
            found: str = page.explain()
        finally:
            if connection.vendor == "postgresql":
                cursor.execute("; ".join(f"RESET enable_{way}" for way in ways))
    # SQLite calls the index of a constraint by its table.
    found = found.replace("sqlite_autoindex_billing_dailyspend_1", "dailyspend_once")
    return found.replace("sqlite_autoindex_billing_budgetperiod_1", "budgetperiod_once")


def test_an_index_gives_each_list_its_order(office: Client, alice: User, price: Price) -> None:
    spend(user=alice, price=price, now=NOW)
    rollup.roll_up()
    day = str(NOW.date())
    assert "usagerecord_day" in plan(office, UsageRecord)
    assert "usagerecord_day" in plan(office, UsageRecord, over_hold__exact=1)
    assert "usagerecord_user_held" in plan(office, UsageRecord, user__id__exact=alice.pk)
    assert "dailyspend_once" in plan(office, DailySpend, spend_date=day)
    assert "dailyspend_user_day" in plan(office, DailySpend, user__id__exact=alice.pk)
    assert "budgetperiod_newest" in plan(office, BudgetPeriod, start=day)


def test_periods_of_everyone_are_found_among_many_of_users(office: Client, alice: User, price: Price) -> None:
    spend(user=alice, price=price, now=NOW)
    limit(user=alice, day="5")
    budget = Budget.objects.get(user=alice, period="day")
    days = (NOW.date() - timedelta(days=number) for number in range(1, 3000))
    BudgetPeriod.objects.bulk_create([BudgetPeriod(budget=budget, start=day) for day in days], batch_size=500)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE billing_budget, billing_budgetperiod")
    assert "budgetperiod_once" in plan(office, BudgetPeriod, whose="everyone")
