"""The pages of staff in a real browser, under the site's own content security policy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from billing import corrections, rollup
from billing.models import Price, UsageRecord
from tests.calls import limit, spend
from tests.invoices import Used, files
from tests.services import Web

pytestmark = pytest.mark.once("scaled")


@pytest.fixture
def office(page: Page, staff: User, session_cookie: Any) -> Callable[[Web], Page]:
    """Staff, signed in to a product; whatever the browser complains about fails the test."""

    def enter(web: Web) -> Page:
        name, value = session_cookie(staff)
        page.context.add_cookies([{"name": name, "value": value, "url": web.url}])
        page.on("console", lambda message: pytest.fail(message.text) if message.type in ("error", "warning") else None)
        return page

    return enter


def test_the_dashboard_and_the_way_to_a_user_s_records(
    start_web: Callable[..., Web], office: Callable[[Web], Page], alice: User, prices: dict[str, Price]
) -> None:
    spend(user=alice, price=prices["gpt-4o"], now=timezone.now())
    rollup.roll_up()
    web = start_web()  # one of its own, which has kept no sums of another test's records
    page = office(web)
    looks: Any = itertools.product(("light", "dark"), (360, 1280))
    for scheme, width in looks:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{web.url}/admin/")
        expect(page.get_by_role("region", name="Today")).to_contain_text("$0.007500000")
        chart = page.get_by_role("img", name="Spend by day and model in the last 30 days")
        assert chart.locator("rect").count() == 1
        page.get_by_text("The same as a table").click()
        expect(page.get_by_role("region", name="Table of spend by day and model")).to_contain_text("gpt-4o")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
            ".map(colour => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0))"
        )
        assert (background < ink) == (scheme == "dark")
        page.get_by_role("region", name="Who spent most").get_by_role("link", name="Alice").click()
        expect(page.get_by_role("heading", name="Spend of Alice")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="All usage records").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)


def test_staff_find_who_is_near_the_limit_and_raise_it(
    live_web: Web, office: Callable[[Web], Page], alice: User, bob: User, prices: dict[str, Price]
) -> None:
    spend(user=alice, price=prices["gpt-4o"], now=timezone.now())
    limit(user=alice, day="0.008")
    page = office(live_web)
    page.goto(f"{live_web.url}/admin/accounts/user/")
    page.get_by_role("link", name="over 80 percent").click()
    rows = page.locator("#result_list tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("img").last).to_have_attribute("aria-label", "$0.01 spent of $0.00, 94%")
    rows.get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option(label="Raise the limit")
    page.get_by_role("button", name="Go").click()
    page.get_by_label("More:").fill("0.25")
    page.get_by_role("button", name="Raise the limit").click()
    expect(page.locator(".messagelist")).to_contain_text("The daily limit of 1 user raised by $0.25.")


def test_a_list_shows_what_it_is_opened_for_and_that_there_is_more(
    live_web: Web, office: Callable[[Web], Page], alice: User, prices: dict[str, Price]
) -> None:
    spend(user=alice, price=prices["gpt-4o"], now=timezone.now())
    page = office(live_web)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{live_web.url}/admin/billing/usagerecord/")
    scroller = page.locator("#changelist-form .results")
    edge = scroller.evaluate("it => it.getBoundingClientRect().right")
    for name in ("user", "shown", "model", "state"):
        cell = page.locator(f"#result_list tbody .field-{name}").first
        assert cell.evaluate("it => it.getBoundingClientRect().right") < edge, name
    assert scroller.evaluate("it => it.scrollWidth > it.clientWidth"), "there is more beyond the edge"
    assert "local" in scroller.evaluate("it => getComputedStyle(it).backgroundAttachment")
    rows = page.locator("#result_list tbody tr").first
    assert rows.evaluate("it => getComputedStyle(it).backgroundColor") == "rgba(0, 0, 0, 0)", "it hides no shade"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def dearer_there(user: User, price: Price) -> tuple[date, list[tuple[str, bytes]]]:
    """A call of today, and the provider's files of that day, by which it cost more."""
    day = spend(user=user, price=price, now=timezone.now()).held_at.date()
    return day, files({day: {(price.model, None): Used(1, 1000, 500, dollars="0.01")}}, day, day)


def compare(page: Page, web: Web, given: list[tuple[str, bytes]], *, first: date, last: date) -> None:
    """Give the provider's files of some days to the page that compares them."""
    page.goto(f"{web.url}/reports/reconcile/")
    for label, day in (("From, UTC", first), ("To, UTC", last)):
        page.get_by_label(label).fill(str(day))
    page.get_by_label("Files").set_input_files(
        [{"name": name, "mimeType": "application/json", "buffer": content} for name, content in given]
    )
    page.get_by_role("button", name="Compare").click()


def test_a_difference_is_found_ticked_and_booked(
    live_web: Web, office: Callable[[Web], Page], alice: User, prices: dict[str, Price]
) -> None:
    day, given = dearer_there(alice, prices["gpt-4o"])
    page = office(live_web)
    compare(page, live_web, given, first=day, last=day)
    page.get_by_label("Book $0.0025 for nobody in particular").check()
    page.get_by_role("button", name="Book what is ticked").click()
    expect(page.get_by_role("status").first).to_contain_text("Booked: 1.")
    assert UsageRecord.objects.get(kind="adjustment").user == corrections.nobody()


def test_notes_and_the_reason_have_their_room(
    live_web: Web, office: Callable[[Web], Page], alice: User, prices: dict[str, Price]
) -> None:
    day, given = dearer_there(alice, prices["gpt-4o"])
    page = office(live_web)
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        compare(page, live_web, given, first=day - timedelta(days=1), last=day)
        notes = page.get_by_role("region", name="1 of the 2 days was compared").get_by_role("list")
        assert notes.evaluate("list => parseFloat(getComputedStyle(list).paddingInlineStart)") >= 14, "room for a dot"
        reason = page.get_by_label("Reason, kept with each record")
        whole = reason.evaluate("box => box.clientWidth / box.closest('.filters').clientWidth")
        assert whole > 0.85, "a reason is a sentence"
