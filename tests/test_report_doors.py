"""The doors of the report: what each answers, what they refuse; `test_permissions` asks who may come in."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape

import openpyxl
import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Token, User
from billing import corrections, runs
from billing.models import ExportRun, Price
from tests.calls import NOON, make_price, spend
from tests.clients import body, by_token, signed_in
from tests.histories import autumn

pytestmark = pytest.mark.django_db

API = ["/api/reports/usage/", "/api/reports/runs/", "/api/reports/focus-metadata/", "/api/reports/usage/?format=csv"]


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


@pytest.mark.parametrize("path", API)
def test_endpoints_are_for_finance_and_superusers(
    path: str, alice: User, staff: User, finance: User, make_user: Callable[..., User]
) -> None:
    assert Client().get(path).status_code == 401
    helper = make_user("helper", is_staff=True)
    answers = [by_token(user, path) for user in (alice, helper, finance, staff)]
    assert [answer.status_code for answer in answers] == [404, 404, 200, 200]
    assert answers[0].json()["error"]["code"] == "not_found"


def test_the_rest_report_is_the_page_s_figures(alice: User, finance: User, price: Price) -> None:
    for day in range(3):
        spend(user=alice, price=price, now=NOON + timedelta(days=day))
    days = {"from": "2026-03-01", "to": "2026-03-31"}
    answer = by_token(finance, "/api/reports/usage/", group_by="day", page_size=2, **days).json()
    assert answer["total"]["cost_usd"] == "0.006"
    assert (answer["count"], answer["from"], answer["made_of"][0]["kind"]) == (3, "2026-03-01", "calls")
    assert [(row["day"], row["cost_usd"]) for row in answer["results"]] == [
        ("2026-03-15", "0.002"),
        ("2026-03-16", "0.002"),
    ]
    following = Client().get(answer["next"], headers={"Authorization": f"Bearer {Token.issue(user=finance)[1]}"}).json()
    assert [row["day"] for row in following["results"]] == ["2026-03-17"]
    assert (following["next"], following["previous"] is not None) == (None, True)
    html = signed_in(finance).get("/reports/", days).content.decode()
    assert '<dd class="big">$0.00<span class="nano">6000000</span></dd>' in html


def test_every_format_is_sent_at_once_where_it_is_small(
    alice: User, finance: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        spend(user=alice, price=price)
    days = {"from": "2026-03-01", "to": "2026-03-31"}
    for name, start in (
        ("csv", b"spend_date"),
        ("xlsx", b"PK"),
        ("parquet", b"PAR1"),
        ("focus", b"BilledCost"),
        ("focus-parquet", b"PAR1"),
    ):
        answer = by_token(finance, "/api/reports/usage/", format=name, **days)
        content = body(answer)
        assert content.startswith(start)
        assert int(answer["Content-Length"]) == len(content)
        assert answer["Content-Disposition"].startswith('attachment; filename="usage-20260301-20260331')
        page = signed_in(finance).get("/reports/download/", {"format": name, **days})
        assert body(page) == content
    book = openpyxl.load_workbook(io.BytesIO(body(by_token(finance, API[0], format="xlsx", **days))))
    assert (book.active.max_row, book.properties.created) == (5, datetime(2026, 3, 31))
    assert by_token(finance, API[0], format="doc", **days).status_code == 400
    assert by_token(finance, API[0], format="focus", focus_version="0.1", **days).status_code == 400
    monkeypatch.setattr("billing.downloads.SMALL", 2)
    large = by_token(finance, API[0], format="csv", **days)
    assert (large.status_code, large.json()["error"]["code"]) == (400, "export_too_large")
    assert signed_in(finance).get("/reports/download/", {"format": "csv", **days}).status_code == 302


def test_what_was_sent_at_once_is_listed_with_who_what_and_its_hash(
    alice: User, finance: User, staff: User, price: Price
) -> None:
    spend(user=alice, price=price)
    days = {"from": "2026-03-01", "to": "2026-03-31", "user": str(alice.pk)}
    by_page = body(signed_in(finance).get("/reports/download/", {"format": "csv", **days}))
    by_rest = body(by_token(staff, API[0], format="focus", **days))
    assert by_token(finance, API[0], format="doc", **days).status_code == 400
    assert signed_in(finance).head("/reports/download/", {"format": "csv", **days}).status_code == 405
    second, first = ExportRun.objects.order_by("-id")
    assert (first.user, first.format, first.state, first.filters) == (finance, "csv", "done", {"user": alice.pk})
    assert (first.rows, first.cost, first.size) == (1, 2_000_000, len(by_page))
    assert first.sha256 == hashlib.sha256(by_page).hexdigest()
    assert (second.user, second.rows, second.sha256) == (staff, 2, hashlib.sha256(by_rest).hexdigest())
    assert runs.tidy(now=timezone.now()) == 0
    html = signed_in(finance).get("/reports/", days).content.decode()
    assert html.count("Sent at once") == 2
    assert first.sha256 in html
    again = re.search(r'href="(/reports/download/[^"]*format=csv[^"]*)" download>Download again', html)
    assert again is not None
    assert body(signed_in(finance).get(unescape(again[1]))) == by_page


def test_a_closed_month_says_so(transactional_db: None, finance: User) -> None:
    autumn(finance, calls=20)
    html = signed_in(finance).get("/reports/", {"from": "2026-10-01", "to": "2026-10-31"}).content.decode()
    assert "Closed on 3 November 2026 by finance@example.com, SHA-256" in html
    other = signed_in(finance).get("/reports/", {"from": "2026-10-01", "to": "2026-10-30"}).content.decode()
    assert "Closed on" not in other


def test_the_chat_leads_to_the_reports_for_those_who_may_read_them(alice: User, finance: User, price: Price) -> None:
    link = '<a href="/reports/">Reports</a>'
    assert [link in signed_in(user).get("/").content.decode() for user in (alice, finance)] == [False, True]


def test_the_pages_lead_staff_to_the_admin(alice: User, staff: User, price: Price) -> None:
    for path, link in (("/", '<a href="/admin/">Admin</a>'), ("/usage/", '<a class="wide" href="/admin/">Admin</a>')):
        assert [link in signed_in(user).get(path).content.decode() for user in (alice, staff)] == [False, True]


def test_features_are_called_as_people_call_them(alice: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    corrections.write_off(user=alice, amount=1000, by=finance, reason="Agreed", now=NOON)
    days = {"from": "2026-03-01", "to": "2026-03-31", "group_by": "feature"}
    page, german = signed_in(finance), signed_in(finance)
    german.cookies["django_language"] = "de"
    for client, names in ((page, ("chat", "write-off")), (german, ("Chat", "Abschreibung"))):
        html = client.get("/reports/", days).content.decode()
        for name, said in zip(("chat", "write_off"), names, strict=True):
            assert f'<option value="{name}">{said}</option>' in html
            assert f'group_by=day&amp;feature={name}">{said}</a>' in html
    assert "<td>write-off</td>" in signed_in(alice).get("/usage/?before=99999999").content.decode()
    rows = by_token(finance, "/api/reports/usage/", **days).json()["results"]
    assert {(row["feature"], row["label"]) for row in rows} == {("chat", "chat"), ("write_off", "write-off")}


def test_where_bars_are_months_the_page_says_so(alice: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    for last, unit, highest in (
        ("2026-03-31", "day", f"on {NOON.day} March"),
        ("2026-06-30", "month", "in March 2026"),
    ):
        html = unescape(
            signed_in(finance).get("/reports/", {"from": "2026-03-01", "to": last, "group_by": "user"}).content.decode()
        )
        assert f"By {unit} and user</h2>" in html
        assert f'aria-label="Cost by {unit} and user"' in html
        assert f"Highest {highest}, $0.01." in html
        assert f'<th scope="col">{unit.capitalize()}</th>' in html
