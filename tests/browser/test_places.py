"""Where things stand: what a move of the focus leaves where it is, what covers nothing, and what a finger can hit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, Route, expect

from accounts.models import User
from billing.models import Price, Reconciliation
from tests.browser.acting import LONG, answer, grows, until, write
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation

pytestmark = pytest.mark.once("embedded")

COVERS = """([over, under]) => {
  const [one, other] = [over, under].map((selector) => document.querySelector(selector).getBoundingClientRect());
  return one.left < other.right && one.right > other.left && one.top < other.bottom && one.bottom > other.top;
}"""
# The links and buttons among those named that a finger would miss: lower than 44 pixels, or without words and narrower.
SMALL = """(selector) => [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility())
  .map((each) => [each.getBoundingClientRect(), each.innerText.trim()])
  .filter(([{ width, height }, name]) => height < 43.5 || (!name && width < 43.5))
  .map(([{ width, height }, name]) => `${name}: ${width} x ${height}`)"""


@pytest.fixture
def phone(browser: Browser, chat: Page) -> Iterator[Page]:
    """The same person before the same page on a phone."""
    with browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 360, "height": 740}) as context:
        context.add_cookies(chat.context.cookies())  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(chat.url)
        yield page


@pytest.fixture
def long_talk(chat: Page, live_web: Web, alice: User) -> Page:
    """A conversation of many screens, in the middle of which the reader is."""
    conversation = make_conversation(alice, messages=40, title="Plans")
    chat.goto(f"{live_web.url}/c/{conversation.pk}/")
    expect(chat.locator(".gauge")).to_be_visible()
    chat.mouse.move(700, 300)
    chat.mouse.wheel(0, -900)
    until(chat, "scrollY + innerHeight < document.documentElement.scrollHeight - 800")
    chat.wait_for_timeout(100)
    return chat


def stays(page: Page, act: Callable[[], Any]) -> float:
    """By how many pixels the page is somewhere else after what was done."""
    before = page.evaluate("scrollY")
    act()
    page.wait_for_timeout(100)  # a scroll is drawn before it is told
    moved: float = page.evaluate("scrollY") - before
    return moved


def hold_quotes(page: Page) -> list[Route]:
    """What will be asked, and waits until it is continued."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/quote/", hold)
    return held


@pytest.mark.parametrize("width", [360, 1280])
def test_the_focus_in_what_always_stands_there_moves_no_page(long_talk: Page, width: int) -> None:
    page = long_talk
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(100)
    moved = {"m": stays(page, lambda: page.keyboard.press("m"))}
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    moved["words"] = stays(page, lambda: page.keyboard.type("And then?"))
    for key in ("Tab", "Tab", "Shift+Tab", "Shift+Tab"):
        moved[f"{key} {len(moved)} in the composer"] = stays(page, lambda key=key: page.keyboard.press(key))
    menu = page.get_by_role("button", name="Conversation menu")
    moved["menu"] = stays(page, menu.click)
    moved["Escape"] = stays(page, lambda: page.keyboard.press("Escape"))
    expect(menu).to_be_focused()
    places = ".head button,#side a,#side button,#side input,.composer a,.composer button,.composer input"
    for place in page.locator(places).all():
        if place.is_visible():
            name = place.evaluate("place => place.ariaLabel || place.textContent.trim() || place.id || place.name")
            moved[name] = stays(page, place.focus)
    assert {name: far for name, far in moved.items() if far} == {}


def test_a_page_down_leaves_no_line_out(long_talk: Page) -> None:
    page = long_talk
    page.evaluate("document.activeElement.blur()")
    before = page.evaluate("scrollY")
    page.keyboard.press("PageUp")
    until(page, "before => scrollY < before - 200", before)
    page.wait_for_timeout(500)  # it scrolls gently
    seen = page.evaluate(
        "document.querySelector('.composer').getBoundingClientRect().top"
        " - document.querySelector('.head').getBoundingClientRect().bottom"
    )
    assert before - page.evaluate("scrollY") < seen


def test_what_is_edited_stays_above_the_composer(long_talk: Page) -> None:
    page = long_talk
    page.get_by_role("button", name="Edit question").nth(17).evaluate("button => button.click()")
    box = page.get_by_label("Question", exact=True)
    expect(box).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Shift+Enter")
    page.keyboard.type("The last line")
    bottom = box.evaluate("box => box.getBoundingClientRect().bottom")
    assert bottom <= page.evaluate("document.querySelector('.composer').getBoundingClientRect().top") + 16


def test_what_the_focus_comes_to_in_the_thread_is_not_under_what_always_stands_there(long_talk: Page) -> None:
    page = long_talk
    page.locator("article [data-act=copy]").first.focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        top, bottom = page.evaluate(
            "(({top, bottom}) => [top, bottom])(document.activeElement.getBoundingClientRect())"
        )
        if page.evaluate("document.activeElement.closest('#thread') === null"):
            break
        head = page.evaluate("document.querySelector('.head').getBoundingClientRect().bottom")
        composer = page.evaluate("document.querySelector('.composer').getBoundingClientRect().top")
        assert head <= top < bottom <= composer


def test_a_running_answer_is_followed_whatever_has_the_focus(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="A line.\n\n" * 60), LONG)
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    write(chat, "And again")
    expect(chat.locator("article")).to_have_count(4)
    grows(chat)
    menu = chat.get_by_role("button", name="Conversation menu")
    menu.click()
    chat.keyboard.press("Escape")
    expect(menu).to_be_focused()
    chat.keyboard.press("m")
    chat.keyboard.press("Tab")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(chat.locator("#jump")).to_be_hidden()
    assert chat.evaluate("innerHeight + scrollY > document.documentElement.scrollHeight - 48")


@pytest.mark.parametrize("width", [360, 1280])
def test_what_is_told_covers_neither_send_nor_its_row(chat: Page, alice: User, live_web: Web, width: int) -> None:
    chat.set_viewport_size({"width": width, "height": 800})
    conversation = make_conversation(alice, messages=2, title="Plans for a title that is as long as titles are")
    chat.goto(f"{live_web.url}/c/{conversation.pk}/")
    chat.get_by_role("button", name="Conversation menu").click()
    chat.get_by_role("menuitem", name="Archive").click()
    expect(chat.locator("#toast")).to_contain_text("was archived.")
    for under in ("#send-message", ".composer .tools", ".composer", ".head"):
        assert not chat.evaluate(COVERS, ["#toast", under]), under
    chat.get_by_role("button", name="Send").click()
    expect(chat.get_by_label("Message", exact=True)).to_be_focused()


def test_the_menu_of_another_answer_stays_inside_the_window(phone: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="Well."))
    write(phone, "Hello there")
    expect(answer(phone)).to_have_attribute("data-status", "complete")
    held = hold_quotes(phone)
    phone.get_by_role("button", name="Answer again").click()
    menu = phone.locator("#choices")
    before = menu.evaluate("menu => menu.getBoundingClientRect().width")
    for route in held:
        route.continue_()
    expect(phone.get_by_role("menuitem").last).to_contain_text("at most $0.0")
    left, right, width = menu.evaluate(
        "menu => (({left, right, width}) => [left, right, width])(menu.getBoundingClientRect())"
    )
    anchor = phone.get_by_role("button", name="Answer again").evaluate("at => at.getBoundingClientRect().right")
    assert width > before
    assert left >= 8
    assert abs(right - max(anchor, 8 + width)) < 1, "its end is its button's, as it was before the prices came"


def test_the_composer_does_not_move_when_the_gauge_comes(phone: Page) -> None:
    held = hold_quotes(phone)
    phone.reload()
    expect(phone.locator(".gauge")).to_be_hidden()
    top = "document.querySelector('.composer .box').getBoundingClientRect().top"
    before = phone.evaluate(top)
    for route in held:
        route.continue_()
    expect(phone.locator(".gauge")).to_be_visible()
    assert abs(phone.evaluate(top) - before) < 1


def test_no_page_is_wider_than_a_narrow_phone(
    page: Page, live_web: Web, staff: User, prices: dict[str, Price], session_cookie: Any
) -> None:
    name, value = session_cookie(staff)
    page.context.add_cookies([{"name": name, "value": value, "url": live_web.url}])
    page.set_viewport_size({"width": 320, "height": 640})
    run = Reconciliation.objects.create(
        started_at=timezone.now(), by=staff, by_name="Staff", first=date(2026, 3, 3), last=date(2026, 3, 3),
        files=[], report={"differences": [], "notes": []},
    )  # fmt: skip
    wide = {}
    for path in (
        "usage/",
        "reports/",
        "reports/reconcile/",
        f"reports/reconcile/{run.pk}/",
        "accounts/profile/",
        "accounts/tokens/",
        "import/",
    ):
        for language in ("en", "de"):
            page.context.set_extra_http_headers({"Accept-Language": language})
            page.goto(f"{live_web.url}/{path}")
            wide[f"{path} {language}"] = page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in wide.items() if width > 320} == {}


def test_a_finger_hits_what_there_is_to_hit(phone: Page, live_web: Web, finance: User, alice: User) -> None:
    make_conversation(alice, messages=2, title="Plans")
    make_conversation(alice, messages=2, title="Old", archived=True)
    alice.groups.set(finance.groups.all())
    small: dict[str, list[str]] = {}
    for path, places in (
        ("", "#side a,#side button,.head button,.composer button"),
        ("?q=Plans", ".found a"),
        ("?archived", ".found a"),
        ("usage/", ".bar a,.bar button"),
        ("reports/", ".bar a,.bar button,.title a"),
    ):
        phone.goto(f"{live_web.url}/{path}")
        if not path:
            phone.get_by_role("button", name="Conversations").click()
        small[path] = phone.evaluate(SMALL, places)
    phone.context.clear_cookies()
    phone.goto(f"{live_web.url}/accounts/login/")
    small["sign-in"] = phone.evaluate(SMALL, ".door .field a,.door button,.door input:not([type=hidden])")
    assert {path: names for path, names in small.items() if names} == {}
