"""Closing a month at /reports/: who may, what is shown first, what stands in the way, and what is written down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import budgets, ledger
from billing.models import Act, MonthClosing
from tests.calls import NOON, dollars, hold, make_price, spend
from tests.clients import signed_in

PAGE = "/reports/close/2026-03/"


def test_closing_is_for_finance(
    db: None, alice: User, staff: User, finance: User, make_user: Callable[..., User]
) -> None:
    helper = make_user("helper", is_staff=True)
    assert Client().post(PAGE, {"checked": "yes"}).status_code == 302
    for user, status in ((alice, 404), (helper, 404), (finance, 200), (staff, 200)):
        assert signed_in(user).get(PAGE).status_code == status
        if status == 404:
            assert signed_in(user).post(PAGE, {"checked": "yes"}).status_code == 404
    guarded = Client(enforce_csrf_checks=True)
    guarded.force_login(finance)
    assert guarded.post(PAGE, {"checked": "yes"}).status_code == 403
    for month in (
        "0001-01",
        "1999-12",
        "2101-01",
        "9999-12",
        "2026-13",
        "2026-3",
        "2026",
        "0000-01",
        "2026-03-01",
        "٢٠٢٦-03",
        "x" * 500,
    ):
        assert signed_in(finance).get(f"/reports/close/{month}/").status_code == 404, month
    assert not MonthClosing.objects.exists()


def test_finance_closes_a_month_whose_figures_it_has_seen(transactional_db: None, alice: User, finance: User) -> None:
    client, price = signed_in(finance), make_price()
    spend(user=alice, price=price)
    spend(user=alice, price=price, now=NOON - timedelta(days=60))
    listed = client.get("/reports/").content.decode()
    assert 'href="/reports/close/2026-03/">Close…<span class="vh"> March 2026</span>' in listed
    page = client.get(PAGE).content.decode()
    assert "Close March 2026 for good" in page
    assert '<dd class="big">$0.00<span class="nano">2000000</span></dd>' in page
    unsaid = client.post(PAGE)
    assert (unsaid.status_code, MonthClosing.objects.count()) == (409, 0)
    assert "Tick that you have checked the figures." in unsaid.content.decode()
    answer = client.post(PAGE, {"checked": "yes"}, follow=True)
    closed = MonthClosing.objects.get()
    assert (closed.closed_by, closed.records, closed.cost) == (finance, 1, dollars("0.002"))
    act = Act.objects.get()
    assert (act.kind, act.by, str(closed.sha256) in act.after) == ("closing", finance, True)
    html = answer.content.decode()
    assert f"March 2026 is closed. SHA-256 {closed.sha256}" in html
    assert 'href="/reports/close/2026-01/"' in html
    assert 'href="/reports/close/2026-03/"' not in html
    again = client.post(PAGE, {"checked": "yes"})
    assert (again.status_code, Act.objects.count()) == (409, 1)
    assert "is closed since" in again.content.decode()
    assert "for good</button>" not in again.content.decode()
    looked = client.get(PAGE)
    html = looked.content.decode()
    assert (looked.status_code, "<h1>March 2026 is closed</h1>" in html) == (200, True)
    assert f'title="{closed.sha256}"' in html
    assert finance.email in html
    assert "Corrections come out of a comparison with the provider" in html
    assert 'role="alert"' not in html
    assert "for good</button>" not in html


def test_what_has_not_ended_stands_in_the_way_and_says_so(transactional_db: None, alice: User, finance: User) -> None:
    client, price = signed_in(finance), make_price()
    running = hold(user=alice, price=price)
    refused = client.get(PAGE)
    assert (refused.status_code, "1 call of March 2026 has not ended yet" in refused.content.decode()) == (200, True)
    assert client.post(PAGE, {"checked": "yes"}).status_code == 409
    ledger.release(record=running, outcome="failed", provider_request_id="", now=NOON)
    today = budgets.spend_date(timezone.now())
    current = client.post(f"/reports/close/{today:%Y-%m}/", {"checked": "yes"})
    assert (current.status_code, "is not over before" in current.content.decode()) == (409, True)
    assert not MonthClosing.objects.exists()


def test_a_closing_that_was_interrupted_is_offered_again(transactional_db: None, alice: User, finance: User) -> None:
    spend(user=alice, price=make_price())
    begun = datetime(2026, 4, 2, tzinfo=UTC)
    MonthClosing.objects.create(month=NOON.date().replace(day=1), started_at=begun, closed_by=alice, closed_by_name="a")
    client = signed_in(finance)
    assert ">Finish closing</a>" in client.get("/reports/").content.decode()
    assert client.post(PAGE, {"checked": "yes"}).status_code == 302
    assert MonthClosing.objects.get().closed_by == finance
