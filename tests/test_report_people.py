"""The report of one person, found by what is remembered of them; and budgets against what was spent."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from playwright.sync_api import Page, expect

from accounts.models import User
from billing import against, corrections, people
from billing.models import Budget, Price
from billing.selection import Selection
from tests.calls import NOON, dollars, limit, make_price, spend
from tests.clients import signed_in
from tests.services import Web

DAYS = {"from": "2026-03-01", "to": "2026-03-31"}
MARCH = Selection(first=date(2026, 3, 1), last=date(2026, 3, 31))
TOTAL = '<dd class="big">$0.00<span class="nano">{}000000</span></dd>'


@pytest.fixture
def price(alice: User, bob: User) -> Price:
    """Of calls of alice's, $0.002, and of bob's, $0.004."""
    made = make_price()
    spend(user=alice, price=made)
    for _ in range(2):
        spend(user=bob, price=made)
    return made


def shown(client: Client, **query: str) -> str:
    response = client.get("/reports/", {**DAYS, **query})
    html = unescape(response.content.decode())
    assert response.status_code == (400 if 'role="alert"' in html else 200)
    return html


@pytest.mark.django_db
def test_one_person_is_found_by_address_or_name(
    price: Price, alice: User, finance: User, make_user: Callable[..., User]
) -> None:
    client = signed_in(finance)
    make_user("alina")
    for who in ("Alice@Example.com ", "alice", "lice"):
        html = shown(client, who=who)
        assert "Only Alice (alice@example.com)." in html
        assert 'name="who" type="search" maxlength="254" value="alice@example.com"' in html
        assert TOTAL.format(2) in html
        assert re.search(rf'href="/reports/download/\?[^"]*user={alice.pk}&[^"]*format=csv"', html)
    assert TOTAL.format(6) in shown(client, who=" ")
    several = shown(client, who="ali", user=str(alice.pk))
    assert "Whom do you mean by “ali”?" in several
    assert TOTAL.format(6) in several, "until it is said, all are shown"
    choice = re.findall(r'href="\?([^"]*)">Alice \(', several)[0]
    assert TOTAL.format(2) in unescape(client.get(f"/reports/?{choice}").content.decode())
    assert "Nobody has “zoe” at" in shown(client, who="zoe")
    assert "Nobody has" in shown(client, who="x" * 5000)
    assert client.get("/reports/people/", {"q": "ALI"}).json() == {
        "results": [{"email": f"{name}@example.com", "name": name.title()} for name in ("alice", "alina")]
    }
    assert client.get("/reports/people/").json() == {"results": []}


@pytest.mark.django_db
def test_people_are_looked_for_no_longer_than_until_there_are_enough(
    make_user: Callable[..., User], django_assert_num_queries: Any
) -> None:
    for number in range(6):
        make_user(f"ann{number}")
    make_user("zed")
    User.objects.filter(email="zed@example.com").update(name="Joanna")
    with django_assert_num_queries(2):
        assert [user.email[:4] for user in people.called("ann", most=9)] == [
            "ann0",
            "ann1",
            "ann2",
            "ann3",
            "ann4",
            "ann5",
            "zed@",
        ]
    with django_assert_num_queries(1):
        assert len(people.called("ann", most=3)) == 3
    assert [user.email for user in people.called("%", most=3)] == []


def said(selection: Selection) -> list[tuple[str, str, str, int, int]]:
    return [
        (row.meter.label, row.meter.standing.period, str(row.fullest), row.meter.used, row.reached)
        for row in against.against(selection)
    ]


@pytest.mark.django_db
def test_budgets_against_what_was_spent(alice: User, bob: User, finance: User, settings: Any) -> None:
    settings.BILLING_EVERYONE_DAILY_BUDGET_USD = 1
    sales = Group.objects.create(name="Sales")
    alice.groups.add(sales)
    Budget.objects.create(scope="group", group=sales, period="month", limit=dollars("0.008"))
    limit(user=alice, day="0.004", month="0.01")
    price = make_price()
    for day in (0, 1, 1):
        spend(user=alice, price=price, now=NOON + timedelta(days=day))
    spend(user=bob, price=price, now=NOON - timedelta(days=31))
    assert said(MARCH) == [("Everyone", "day", "2026-03-16", 1, 0), ("Sales", "month", "2026-03-01", 75, 0)]
    own = [("Their own", "month", "2026-03-01", 60, 0), ("Their own", "day", "2026-03-16", 100, 1)]
    alices = Selection(first=MARCH.first, last=MARCH.last, user=alice.pk)
    assert said(alices) == own
    assert said(Selection(first=MARCH.first, last=MARCH.last, group="Sales")) == [
        ("Sales", "month", "2026-03-01", 75, 0)
    ]
    assert said(Selection(first=date(2026, 3, 15), last=date(2026, 3, 15))) == [("Everyone", "day", "2026-03-15", 1, 0)]
    assert said(Selection(first=MARCH.first, last=MARCH.last, model="test-model")) == []
    assert said(Selection(first=date(2025, 1, 1), last=date(2025, 12, 31))) == []
    by_user = signed_in(finance).get("/reports/", {**DAYS, "group_by": "user"}).content.decode()
    assert '<td class="n">60%</td>' in by_user
    corrections.grant_credit(user=alice, amount=dollars("0.006"), by=finance, reason="A test.", now=NOON)
    assert ("Their own", "month", "2026-03-01", 0, 0) in said(alices)
    assert "Sales, a month" in shown(signed_in(finance))


@pytest.mark.django_db
def test_a_report_by_group_says_why_it_is_not_what_the_groups_budgets_say(alice: User, finance: User) -> None:
    groups = [Group.objects.create(name=name) for name in ("Sales", "Support")]
    for group in groups:
        Budget.objects.create(scope="group", group=group, period="month", limit=dollars("0.008"))
    alice.groups.set(groups)
    spend(user=alice, price=make_price())
    assert [row[3] for row in said(MARCH) if row[1] == "month"] == [25, 25]
    office, sentence = signed_in(finance), "Here the calls of somebody in several groups stand under one of them"
    assert sentence in shown(office, group_by="group")
    assert sentence in shown(office, group="Sales")
    assert sentence not in shown(office, group_by="user")
    assert sentence not in shown(office, group_by="group", model="test-model"), "no budgets beside it"
    german = office.get("/reports/", {**DAYS, "group_by": "group"}, headers={"Accept-Language": "de"})
    assert "Aufrufe von jemandem in mehreren Gruppen stehen hier unter einer davon" in german.content.decode()


@pytest.mark.once("scaled")
@pytest.mark.django_db(transaction=True)
def test_the_form_suggests_people_while_one_types(
    live_web: Web, page: Page, price: Price, finance: User, session_cookie: Any
) -> None:
    name, value = session_cookie(finance)
    page.context.add_cookies([{"name": name, "value": value, "url": live_web.url}])
    page.goto(f"{live_web.url}/reports/?from=2026-03-01&to=2026-03-31")
    box = page.get_by_label("User", exact=True)
    box.press_sequentially("bo")
    expect(page.locator("#people option")).to_have_attribute("value", "bob@example.com")
    box.fill("bob@example.com")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Only Bob (bob@example.com).")).to_be_visible()
