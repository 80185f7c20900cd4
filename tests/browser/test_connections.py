"""What a page does about its connections: how soon it tries again, when it gives up, and what it then says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from billing.models import Price
from conversations.models import Message
from tests.browser.acting import answer, text, whole, write
from tests.browser.blocking import cut, unanswered, where_sockets_are, without_sockets
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation

pytestmark = pytest.mark.once("embedded")

PATIENCE = 30_000  # milliseconds
HELD = Script(delta_count=60, delay_between=0.01, hold_after=30)
LOUD = "Math.random = () => 1;"  # no chance in how long it waits
QUICK = "{ const real = setTimeout; window.setTimeout = (act, wait = 0) => real(act, wait / 10); }"
CLOCK = """{
  const tick = setInterval, now = Date.now;
  let ahead = 0;
  const ticks = [];
  window.setInterval = (act, wait) => { ticks.push(act); return tick(act, wait); };
  Date.now = () => now() + ahead;
  window.pass = milliseconds => { ahead += milliseconds; ticks.forEach(act => act()); };
  window.hide = hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  };
}"""


@pytest.fixture
def at(
    browser: Browser, live_web: Web, alice: User, prices: dict[str, Price], session_cookie: Any
) -> Iterator[Callable[..., Page]]:
    """Opens a page as Alice: `at(address, path, script)`."""
    name, value = session_cookie(alice)
    errors: list[str] = []
    with browser.new_context() as context:

        def open_page(address: str, path: str = "/", script: str = "") -> Page:
            context.add_cookies([{"name": name, "value": value, "url": address}])
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            if script:
                page.add_init_script(script)
            page.goto(address + path)
            return page

        yield open_page
    assert not errors, errors


def grow(times: list[float]) -> bool:
    """Whether the last wait was longer than the first, by far."""
    waits = [later - sooner for sooner, later in pairwise(times)]
    return waits[-1] > 2 * waits[0]


def wait_for(page: Page, true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not true():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def test_a_connection_that_is_cut_as_soon_as_it_is_made_is_made_ever_more_slowly(
    at: Callable[..., Page], live_web: Web, alice: User
) -> None:
    conversation = make_conversation(alice, messages=2)
    with where_sockets_are(cut, live_web.port) as way:
        page = at(way.address, f"/c/{conversation.pk}/", LOUD)
        wait_for(page, lambda: len(way.times("/ws/conversations/")) >= 5)
        assert grow(way.times("/ws/conversations/")[:5])
        expect(page.locator("#link")).to_contain_text("Connection lost")


def test_a_page_that_cannot_be_read_is_asked_for_ever_more_slowly(
    at: Callable[..., Page], live_web: Web, alice: User
) -> None:
    conversation = make_conversation(alice, messages=2)
    page = at(live_web.url, f"/c/{conversation.pk}/", LOUD)
    page.wait_for_load_state("networkidle")
    times: list[float] = []

    def fail(route: Any) -> None:
        times.append(time.monotonic())
        route.abort()

    page.route(f"**/c/{conversation.pk}/", fail)
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_for(page, lambda: len(times) >= 4)
    assert grow(times[:4])


def test_a_hidden_tab_whose_clock_is_slow_is_not_taken_for_a_machine_that_slept(
    at: Callable[..., Page], live_web: Web, alice: User
) -> None:
    conversation = make_conversation(alice, messages=2)
    page = at(live_web.url, f"/c/{conversation.pk}/", CLOCK)
    page.wait_for_load_state("networkidle")
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    page.evaluate("hide(true); for (let minute = 0; minute < 5; minute += 1) pass(60000); hide(false)")
    page.wait_for_timeout(500)
    assert not opened
    page.evaluate("hide(true); pass(3600000)")
    page.wait_for_timeout(500)
    assert not opened, "nobody looks"
    page.evaluate("hide(false)")
    wait_for(page, lambda: len(opened) == 2)
    page.evaluate("pass(60000)")  # in plain sight
    wait_for(page, lambda: len(opened) == 4)


def test_a_handshake_that_nobody_answers_counts_as_failed(
    at: Callable[..., Page], live_web: Web, provider: ScriptedProvider
) -> None:
    with where_sockets_are(unanswered, live_web.port) as way:
        page = at(way.address, "/", QUICK)
        write(page, "Hello there")
        expect(answer(page)).to_have_attribute("data-status", "complete", timeout=PATIENCE)
        expect(text(page)).to_have_text(whole(provider))
        expect(page.locator("#link")).to_be_hidden()


def test_a_page_outlives_its_session_where_the_same_person_signs_in_again(
    chat: Page, provider: ScriptedProvider
) -> None:
    chat.context.clear_cookies(name="csrftoken")
    chat.context.new_page().goto(chat.url)  # which is given another
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    assert len(provider.bill.rows) == 1


def sign_out(page: Page) -> None:
    """In another tab."""
    other = page.context.new_page()
    other.goto(re.sub(r"/c/.*", "/", page.url))
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/accounts/login/**")
    other.close()


def test_who_was_signed_out_is_told_so_and_their_message_is_not_left_waiting(
    at: Callable[..., Page], live_web: Web, alice: User
) -> None:
    conversation = make_conversation(alice, messages=2)
    page = at(live_web.url, f"/c/{conversation.pk}/")
    page.wait_for_load_state("networkidle")
    sign_out(page)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#link")).to_contain_text("You were signed out")
    write(page, "Hello there")
    expect(page.locator("#note")).to_contain_text("You were signed out")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    expect(page.get_by_label("Message", exact=True)).to_have_value("Hello there")
    assert not Message.objects.filter(content="Hello there")


def test_who_was_signed_out_is_told_so_over_plain_http_too(
    at: Callable[..., Page], live_web: Web, alice: User, provider: ScriptedProvider
) -> None:
    conversation = make_conversation(alice, messages=2)
    with without_sockets(live_web.port) as address:
        page = at(address, f"/c/{conversation.pk}/", LOUD)
        provider.enqueue(HELD)
        write(page, "Hello there")
        expect(answer(page)).to_have_attribute("data-status", "generating", timeout=PATIENCE)
        sign_out(page)
        page.evaluate("dispatchEvent(new Event('online'))")
        expect(page.locator("#link")).to_contain_text("You were signed out", timeout=PATIENCE)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(7000)  # longer than it takes to look again
        assert not [url for url in asked if "/c/" in url or "/events/" in url]
        provider.release()
