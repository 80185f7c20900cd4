"""The finance report: every grouping is the same number, corrections are shown as such, and who may see it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.errors import InvalidRequest
from accounts.models import User
from billing import agreement, corrections, money, reports, rollup, totals, usage
from billing.models import Price, UsageRecord
from billing.selection import Selection
from tests.calls import NOON, dollars, hold, make_price, spend
from tests.clients import body, by_token, signed_in
from tests.histories import autumn

pytestmark = pytest.mark.django_db

Queries = Callable[..., AbstractContextManager[Any]]
YEAR = Selection(first=date(2026, 1, 1), last=date(2026, 12, 31))


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def test_every_grouping_and_every_file_comes_to_the_same(transactional_db: None, finance: User) -> None:
    autumn(finance, seed=3)
    settled = UsageRecord.objects.filter(state="settled")
    for rolled in range(2):
        if rolled:
            rollup.roll_up()
        for first, last in (
            (YEAR.first, YEAR.last),
            (date(2026, 10, 1), date(2026, 10, 31)),
            (date(2026, 11, 3), date(2026, 11, 3)),
        ):
            selection = Selection(first=first, last=last)
            expected = settled.filter(spend_date__range=(first, last)).aggregate(Sum("cost"))["cost__sum"] or 0
            assert {found.cost for found in agreement.totals(selection)} == {expected}
    whole = settled.aggregate(**{name: Sum(name) for name in ("calls", "input_tokens", "output_tokens", "cost")})
    for group_by in totals.GROUPINGS:
        found = reports.report(selection=YEAR, group_by=group_by)
        assert {name: getattr(found.total, name) for name in whole} == whole
        added = sum((line.total for line in found.lines), totals.Total())
        assert added == found.total
        assert sum((part.total for part in found.parts), totals.Total()) == found.total
        assert sum(line.corrected for line in found.lines) == sum(part.total.cost for part in found.parts[1:])
        days = reports.by_day(selection=YEAR, group_by=group_by if group_by != "day" else "model", most=3)
        assert sum(map(sum, days.costs.values())) == whole["cost"]


def test_a_record_that_waits_for_the_roll_up_counts_once(alice: User, price: Price) -> None:
    spend(user=alice, price=price)
    rollup.roll_up()
    spend(user=alice, price=price)
    hold(user=alice, price=price)
    for filters in ({}, {"user": alice.pk}, {"model": "test-model"}, {"group": ""}, {"feature": "chat"}, {"key": ""}):
        selection = Selection(first=NOON.date(), last=NOON.date(), **filters)
        assert [reports.report(selection=selection, group_by=name).total.cost for name in totals.GROUPINGS] == [
            dollars("0.004")
        ] * 6
    nobody = Selection(first=NOON.date(), last=NOON.date(), user=alice.pk + 1)
    assert reports.report(selection=nobody, group_by="day").total == totals.Total()


def test_corrections_credits_and_write_offs_are_shown_as_such(
    alice: User, bob: User, finance: User, price: Price
) -> None:
    wrong = spend(user=alice, price=price)
    spend(user=bob, price=price)
    corrections.reverse(record=wrong, by=finance, reason="never charged", now=NOON)
    corrections.grant_credit(user=bob, amount=dollars("0.0005"), by=finance, reason="sorry", now=NOON)
    corrections.write_off(user=bob, amount=dollars("0.0001"), by=finance, reason="a test", now=NOON)
    found = reports.report(selection=YEAR, group_by="user")
    assert [(part.kind, part.records, part.total.calls, part.total.cost) for part in found.parts] == [
        ("calls", 0, 2, dollars("0.004")),
        ("corrections", 1, -1, dollars("-0.002")),
        ("credits", 1, 0, dollars("-0.0005")),
        ("write_offs", 1, 0, dollars("-0.0001")),
    ]
    assert [(line.label, line.total.cost, line.corrected) for line in found.lines] == [
        ("Bob (bob@example.com)", dollars("0.0014"), dollars("-0.0006")),
        ("Alice (alice@example.com)", 0, dollars("-0.002")),
    ]
    html = signed_in(finance).get("/reports/", {"from": "2026-03-01", "to": "2026-03-31"}).content.decode()
    for word in ("What the total is made of", "Corrections of calls", "Credits", "Written off", "No model"):
        assert word in html


def test_lines_are_paged_and_totals_are_of_all(alice: User, price: Price, django_assert_num_queries: Queries) -> None:
    users = [User.objects.create_user(f"u{number}@example.com") for number in range(25)]
    for number, user in enumerate(users):
        spend(user=user, price=price, input=1000 + number)
    pages = [reports.report(selection=YEAR, group_by="user", page=page, size=10) for page in (1, 2, 3, 4)]
    assert [(len(page.lines), page.more, page.count) for page in pages] == [
        (10, True, 25), (10, True, 25), (5, False, 25), (0, False, 25),
    ]  # fmt: skip
    values = [line.value for page in pages for line in page.lines]
    assert values == [user.pk for user in reversed(users)], "the dearest first, none twice"
    assert len({page.total.cost for page in pages}) == 1
    for size in (1, 25):
        with django_assert_num_queries(5):  # how many users, the whole, the page, the parts, the names
            reports.report(selection=YEAR, group_by="user", size=size)


@pytest.mark.parametrize(
    ("table", "group_bys", "days"),
    [
        ("dailytotal", ["day", "group", "model", "feature", "key"], (1, 31)),
        ("monthlyspend", ["user"], (1, 31)),
        ("dailyspend", ["user"], (1, 30)),
    ],
)
def test_sums_are_read_from_the_smallest_table(
    alice: User, price: Price, table: str, group_bys: list[str], days: tuple[int, int]
) -> None:
    """Never from the records, but for those that wait; so a report costs the same however many calls there were."""
    spend(user=alice, price=price)
    selection = Selection(first=date(2026, 3, days[0]), last=date(2026, 3, days[1]))
    for group_by in group_bys:
        for narrowed in (selection, replace(selection, group="Sales")):
            with CaptureQueriesContext(connection) as captured:
                totals.grouped(narrowed, group_by)
            (sql,) = [query["sql"] for query in captured]
            wanted = "dailyspend" if table == "monthlyspend" and narrowed.group else table
            assert f'FROM "billing_{wanted}"' in sql
            assert sql.count('FROM "billing_') == 2
            assert "billing_uncountedrecord" in sql


def test_the_page_takes_as_many_queries_for_many(
    alice: User, finance: User, price: Price, django_assert_max_num_queries: Queries
) -> None:
    client = signed_in(finance)
    for count in (1, 30):
        for number in range(count):
            user = User.objects.create_user(f"{count}-{number}@example.com")
            spend(user=user, price=price)
            spend(user=user, price=make_price(model=f"m-{count}-{number}"))
        with django_assert_max_num_queries(30):
            assert (
                client.get("/reports/", {"from": "2026-03-01", "to": "2026-03-31", "group_by": "user"}).status_code
                == 200
            )


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"}, {"from": "2026-02-30"}, {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "1900-01-01"}, {"user": "x"}, {"user": "9" * 30}, {"group_by": "sql; drop"}, {"page": "0"},
        {"page": "-1"}, {"model": "m" * 300},
        {"from": "0001-01-01", "to": "0001-01-02"}, {"from": "1999-12-31", "to": "2000-01-01"},
        {"from": "9999-12-01", "to": "9999-12-31", "group_by": "user"}, {"from": "2100-12-31", "to": "2101-01-01"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_words(finance: User, query: dict[str, str]) -> None:
    answer = by_token(finance, "/api/reports/usage/", **query)
    assert answer.status_code == 400
    assert answer.json()["error"]["fields"]
    page = signed_in(finance).get("/reports/", query)
    assert page.status_code == 400
    assert 'role="alert"' in page.content.decode()


@pytest.mark.parametrize("days", [("2000-01-01", "2000-01-31"), ("2100-12-01", "2100-12-31")])
def test_the_first_and_the_last_days_that_can_be_asked_for(finance: User, days: tuple[str, str]) -> None:
    for group_by in ("user", "day"):
        query = {"from": days[0], "to": days[1], "group_by": group_by}
        assert by_token(finance, "/api/reports/usage/", **query).status_code == 200
        assert signed_in(finance).get("/reports/", query).status_code == 200
    beyond = by_token(finance, "/api/reports/usage/", **{"from": "9999-12-01", "to": "9999-12-31"}).json()["error"]
    sentence = "The year must be one from 2000 to 2100."
    assert (beyond["code"], beyond["fields"]) == ("invalid_request", {"from": [sentence], "to": [sentence]})


def test_a_selection_survives_its_address() -> None:
    whole = Selection(
        first=date(2026, 3, 1), last=date(2026, 3, 31), user=7, group="R&D", model="m", feature="chat", key="k"
    )
    assert Selection.of_query(whole.as_query(), first=NOON.date(), last=NOON.date()) == whole
    assert (whole.label, whole.before.label) == ("March 2026", "February 2026")
    days = Selection(first=date(2026, 3, 3), last=date(2026, 3, 9))
    assert (days.label, days.before.label) == ("3–9 March 2026", "24 February 2026 – 2 March 2026")
    with pytest.raises(InvalidRequest):
        Selection.of_query({"to": "2020-01-01"}, first=date(2026, 3, 1), last=date(2026, 3, 31))


def test_one_s_own_records_and_nobody_else_s(alice: User, bob: User, price: Price) -> None:
    mine = [spend(user=alice, price=price, now=NOON + timedelta(days=day)).pk for day in range(2)]
    spend(user=bob, price=price)
    query = {"from": "2026-03-01", "to": "2026-03-31", "user": str(bob.pk)}
    lines = body(by_token(alice, "/api/usage/export/", **query)).decode().splitlines()
    header = lines[0].split(",")
    assert [int(line.split(",")[header.index("record_id")]) for line in lines[1:]] == mine
    assert Client().get("/api/usage/export/").status_code == 401
    assert by_token(alice, "/api/usage/export/", **{"from": "x"}).status_code == 400


def test_own_usage_page_and_report_agree(alice: User, finance: User, price: Price) -> None:
    now = timezone.now()
    for _ in range(3):
        spend(user=alice, price=price, now=now)
    rollup.roll_up()
    corrections.grant_credit(user=alice, amount=dollars("0.001"), by=finance, reason="Sorry for the outage", now=now)
    month, today = usage.this_month(user=alice, now=now)
    selection = Selection(first=month.first, last=month.last, user=alice.pk)
    assert month.total == reports.report(selection=selection, group_by="model").total
    assert month.of_day(today).cost == dollars("0.005")
    html = signed_in(alice).get("/usage/").content.decode()
    assert "Credit<br>" in html
    assert "Sorry for the outage" in html
    assert '<a href="/reports/"' not in html
    assert '<a href="/reports/"' in signed_in(finance).get("/usage/").content.decode()


def test_money_is_grouped_by_what_it_was_then(alice: User, price: Price) -> None:
    from django.contrib.auth.models import Group

    before, after = (Group.objects.create(name=name) for name in ("Before", "After"))
    alice.groups.add(before)
    spend(user=alice, price=price)
    alice.groups.set([after])
    spend(user=alice, price=price)
    found = reports.report(selection=YEAR, group_by="group")
    assert [(line.value, line.total.cost) for line in found.lines] == list(
        itertools.product(("After", "Before"), (dollars("0.002"),))
    )


def test_the_largest_amounts_stay_exact(alice: User, price: Price) -> None:
    for _ in range(3):
        spend(user=alice, price=price)
    UsageRecord.objects.update(cost=10**18 + 1)
    rollup.roll_up()
    total = reports.report(selection=YEAR, group_by="model").total
    assert money.to_json(total.cost) == "3000000000.000000003"
