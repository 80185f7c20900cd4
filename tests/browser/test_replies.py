"""A person in front of a real browser: what they see while an answer streams, and after whatever they do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from billing import limiting
from billing.models import Price, UsageRecord
from conversations.models import Message
from tests.browser.acting import LONG, answer, grows, text, whole, write
from tests.conftest import PASSWORD
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation


def test_sign_in_and_see_an_answer_stream(
    live_web: Web, page: Page, alice: User, prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    provider.enqueue(LONG)
    page.goto(f"{live_web.url}/")
    page.locator("input[name=login]").fill(alice.email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    write(page, "Hello there")
    expect(page.locator("article[data-role=user] [data-content]")).to_have_text("Hello there")
    grows(page)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_hidden()
    expect(answer(page)).to_have_attribute("data-status", "complete", timeout=20_000)
    expect(text(page)).to_have_text(whole(provider))
    expect(answer(page).locator(".cost")).to_contain_text("gpt-4o-mini")
    expect(answer(page).locator(".cost b")).to_contain_text("$0.00")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_have_value("")
    assert page.url == f"{live_web.url}/c/{Message.objects.first().conversation_id}/"
    expect(page).to_have_title("Hello there · Company chat")


def test_reload_in_mid_reply(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(dataclasses.replace(LONG, hold_after=60))
    write(chat, "Hello there")
    provider.wait_until(lambda bill: bill.waiting == 1, timeout=20)
    half = provider.bill.rows[0].text.strip()
    expect(text(chat)).to_have_text(half)
    chat.reload()
    expect(text(chat)).to_have_text(half)  # while nothing new comes
    provider.release()
    expect(text(chat)).not_to_have_text(half)
    chat.reload()
    expect(answer(chat)).to_have_attribute("data-status", "complete", timeout=20_000)
    expect(text(chat)).to_have_text(whole(provider))
    assert whole(provider).startswith(half)
    chat.reload()
    expect(text(chat)).to_have_text(whole(provider))
    assert len(provider.bill.rows) == 1


def test_stop(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(LONG)
    write(chat, "Hello there")
    before = grows(chat)
    chat.get_by_role("button", name="Stop").click()
    expect(answer(chat)).to_have_attribute("data-status", "stopped")
    row = provider.wait_idle().rows[0]
    assert row.outcome == "client_closed"
    shown = text(chat).inner_text()
    assert shown.startswith(before.strip())
    assert row.text.strip().startswith(shown)
    expect(answer(chat).locator(".cost")).to_contain_text("Stopped by you")
    expect(answer(chat).locator(".cost")).to_contain_text("estimated")
    chat.reload()
    expect(text(chat)).to_have_text(shown)
    assert UsageRecord.objects.get().outcome == "stopped"
    write(chat, "And then?")
    expect(chat.locator("article[data-role=assistant]")).to_have_count(2)
    expect(answer(chat)).to_have_attribute("data-status", "complete")


def test_a_second_tab_sees_the_same(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(LONG)
    write(chat, "Hello there")
    grows(chat)
    second = chat.context.new_page()
    second.goto(chat.url)
    grows(second)
    for tab in (chat, second):
        expect(answer(tab)).to_have_attribute("data-status", "complete", timeout=20_000)
        expect(text(tab)).to_have_text(whole(provider))
        expect(tab.locator("article")).to_have_count(2)
    write(second, "And then?")
    for tab in (chat, second):
        expect(tab.locator("article")).to_have_count(4)
        expect(answer(tab)).to_have_attribute("data-status", "complete")
    assert answer(chat).inner_html() == answer(second).inner_html()


def test_closing_the_tab_finishes_the_answer(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(LONG)
    write(chat, "Hello there")
    grows(chat)
    url, context = chat.url, chat.context
    chat.close()
    assert provider.wait_idle(timeout=20).rows[0].outcome == "complete"
    later = context.new_page()
    later.goto(url)
    expect(answer(later)).to_have_attribute("data-status", "complete")
    expect(text(later)).to_have_text(whole(provider))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_refusal_keeps_the_text_and_says_why(
    chat: Page, alice: User, provider: ScriptedProvider, width: int, scheme: Any
) -> None:
    chat.set_viewport_size({"width": width, "height": 740})
    chat.emulate_media(color_scheme=scheme)
    limiting.set_limit(user=alice, period="day", limit=1000)
    write(chat, "A question of mine")
    note = chat.locator("#note")
    expect(note).to_be_visible()
    expect(note).to_contain_text("Your daily budget of $0.00 has no room for this message.")
    expect(note).to_contain_text("Nothing was charged.")
    box = chat.get_by_label("Message", exact=True)
    expect(box).to_have_value("A question of mine")
    assert chat.evaluate("document.documentElement.scrollWidth") <= width
    chat.reload()
    expect(box).to_have_value("A question of mine")
    limiting.set_limit(user=alice, period="day", limit=None)
    chat.get_by_role("button", name="Send").click()
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(note).to_be_hidden()
    expect(box).to_have_value("")
    assert chat.evaluate("document.documentElement.scrollWidth") <= width
    assert len(provider.bill.rows) == 1
    background, ink = chat.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        ".map(colour => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0))"
    )
    assert (background < ink) == (scheme == "dark")


def test_a_failure_keeps_what_came_and_gives_the_text_back(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two three", cut_after=2))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "failed")
    expect(text(chat)).to_contain_text("One two")
    expect(answer(chat)).to_contain_text("Try again.")
    expect(chat.get_by_label("Message", exact=True)).to_have_value("Hello there")
    chat.get_by_role("button", name="Send").click()
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(chat.get_by_label("Message", exact=True)).to_have_value("")


def test_other_peoples_chats_are_not_there(chat: Page, bob: User, live_web: Web) -> None:
    theirs = make_conversation(bob, messages=2, title="Of Bob")
    response = chat.goto(f"{live_web.url}/c/{theirs.pk}/")
    assert response is not None
    assert response.status == 404
    expect(chat.get_by_text("Of Bob")).to_have_count(0)


def test_a_page_survives_the_end_of_its_server(
    start_web: Callable[..., Web], enter: Callable[[str], Page], provider: ScriptedProvider
) -> None:
    web = start_web(CHAT_LEASE_SECONDS="1")
    page = enter(web.url)
    provider.enqueue(LONG)
    write(page, "Hello there")
    before = grows(page)
    web.kill()
    expect(page.locator("#link")).to_be_visible()
    web.start()
    expect(answer(page)).to_have_attribute("data-status", "interrupted", timeout=30_000)
    expect(page.locator("#link")).to_be_hidden()
    assert text(page).inner_text().startswith(before.strip())
    write(page, "And then?")
    expect(answer(page)).to_have_attribute("data-status", "complete")
