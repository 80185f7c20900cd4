"""Whatever breaks between a page and its server: nothing is shown twice, nothing is missing, no reload is needed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocket, WebSocketRoute, expect

from accounts.models import User
from billing.models import UsageRecord
from tests.browser.acting import LONG, answer, grows, text, whole, write
from tests.browser.blocking import without_sockets
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("scaled")

LONGER = Script(delta_count=800, delay_between=0.01)
HELD = Script(delta_count=200, delay_between=0.01, hold_after=60)
PATIENCE = 30_000  # milliseconds


def sees_all(page: Page, provider: ScriptedProvider) -> None:
    expect(answer(page)).to_have_attribute("data-status", "complete", timeout=PATIENCE)
    expect(text(page)).to_have_text(whole(provider))
    expect(page.locator("#link")).to_be_hidden()
    assert len(provider.bill.rows) == 1


def test_offline_for_five_seconds_in_mid_reply(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(LONGER)
    write(chat, "Hello there")
    before = grows(chat)
    chat.context.set_offline(True)
    expect(chat.locator("#link")).to_contain_text("offline")
    chat.wait_for_timeout(5000)
    assert (text(chat).text_content() or "").startswith(before)
    chat.context.set_offline(False)
    grows(chat)
    sees_all(chat, provider)


def test_what_is_sent_while_offline_is_kept_and_comes_once(chat: Page, provider: ScriptedProvider) -> None:
    chat.context.set_offline(True)
    write(chat, "Hello there")
    box = chat.get_by_label("Message", exact=True)
    expect(chat.locator("#note")).to_contain_text("Your message is still in the box.")
    expect(box).to_have_value("Hello there")
    chat.context.set_offline(False)
    chat.get_by_role("button", name="Try again").click()
    sees_all(chat, provider)
    expect(box).to_have_value("")
    expect(chat.locator("#note")).to_be_hidden()
    chat.context.set_offline(True)
    write(chat, "And then?")
    expect(box).to_have_value("And then?")
    chat.wait_for_timeout(1500)
    chat.context.set_offline(False)
    expect(answer(chat)).to_have_attribute("data-status", "complete", timeout=PATIENCE)
    expect(chat.locator("article")).to_have_count(4, timeout=PATIENCE)
    expect(box).to_have_value("")
    provider.wait_idle()
    assert UsageRecord.objects.count() == 2


def test_what_waits_for_the_connection_can_still_be_changed(chat: Page, provider: ScriptedProvider) -> None:
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    box, send = chat.get_by_label("Message", exact=True), chat.get_by_role("button", name="Send")
    chat.context.set_offline(True)
    expect(chat.locator("#link")).to_be_visible()
    write(chat, "And thn?")
    expect(send).to_be_disabled()
    box.fill("And then?")
    expect(send).to_be_enabled()
    expect(chat.locator("#note")).to_contain_text("was not sent")
    chat.context.set_offline(False)
    expect(chat.locator("#link")).to_be_hidden(timeout=PATIENCE)
    send.click()
    expect(chat.locator("article")).to_have_count(4)
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(chat.locator("article[data-role=user] [data-content]")).to_have_text(["Hello there", "And then?"])
    expect(box).to_have_value("")
    provider.wait_idle()
    assert UsageRecord.objects.count() == 2


def test_stop_while_offline_is_done_once_the_connection_is_back(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(HELD)
    write(chat, "Hello there")
    provider.wait_until(lambda bill: bill.waiting == 1, timeout=20)
    expect(text(chat)).not_to_have_text("")
    chat.context.set_offline(True)
    expect(chat.locator("#link")).to_contain_text("offline")
    stop = chat.get_by_role("button", name="Stop")
    stop.click()
    expect(chat.locator("#toast")).to_contain_text("Once it is, the answer is stopped.")
    expect(stop).to_be_enabled()
    chat.context.set_offline(False)
    expect(answer(chat)).to_have_attribute("data-status", "stopped", timeout=PATIENCE)
    assert provider.wait_idle().rows[0].outcome == "client_closed"


def test_stop_goes_out_again_where_the_connection_was_dead(chat: Page, provider: ScriptedProvider) -> None:
    ways: list[str] = []
    dead: list[str] = []

    def between(way: WebSocketRoute) -> None:
        mine = f"{len(ways)}"
        ways.append(mine)
        server = way.connect_to_server()
        way.on_message(lambda said: None if mine in dead else server.send(said))
        server.on_message(lambda said: None if mine in dead else way.send(said))

    chat.route_web_socket("**/ws/conversations/**", between)
    chat.reload()
    provider.enqueue(HELD)
    write(chat, "Hello there")
    grows(chat)
    dead.extend(ways)
    chat.get_by_role("button", name="Stop").click()
    chat.evaluate("{ const now = Date.now; Date.now = () => now() + 14000; }")  # so long nothing was heard
    expect(answer(chat)).to_have_attribute("data-status", "stopped", timeout=PATIENCE)
    assert provider.wait_idle().rows[0].outcome == "client_closed"


def test_who_is_refused_a_stop_is_told_so_and_may_stop_again(chat: Page, provider: ScriptedProvider) -> None:
    refused: list[str] = []

    def between(way: WebSocketRoute) -> None:
        server = way.connect_to_server()

        def asked(said: str | bytes) -> None:
            frame = json.loads(said)
            if frame["type"] != "stop" or refused:
                server.send(said)
                return
            refused.append(frame["message_id"])
            named = {"key": frame["key"]} if "key" in frame else {}  # as the server does
            error = {"code": "unavailable", "message": "A part of the site is away. Try again.", **named}
            way.send(json.dumps({"type": "error", "message_id": None, "error": error}))

        way.on_message(asked)

    chat.route_web_socket("**/ws/conversations/**", between)
    chat.reload()
    provider.enqueue(HELD)
    write(chat, "Hello there")
    grows(chat)
    stop = chat.get_by_role("button", name="Stop")
    stop.click()
    expect(chat.locator("#toast")).to_contain_text("A part of the site is away. Try again.")
    stop.click()
    expect(answer(chat)).to_have_attribute("data-status", "stopped", timeout=PATIENCE)
    assert provider.wait_idle().rows[0].outcome == "client_closed"


def test_who_has_heard_all_and_is_slow_to_show_it_is_not_taken_for_cut_off(
    chat: Page, provider: ScriptedProvider
) -> None:
    ways: list[WebSocket] = []
    frames: list[str] = []

    def heard(way: WebSocket) -> None:
        if "/conversations/" in way.url:
            ways.append(way)
            way.on("framereceived", lambda frame: frames.append(str(frame)))

    provider.enqueue(Script(text="First answer"))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    chat.on("websocket", heard)
    chat.reload()
    chat.evaluate("painting = requestAnimationFrame; held = []; requestAnimationFrame = act => held.push(act); 0")
    provider.enqueue(Script(text="Second answer"))
    write(chat, "And then?")
    while not any('"type":"done"' in frame for frame in frames):
        chat.wait_for_timeout(50)
    chat.evaluate("{ const now = Date.now; Date.now = () => now() + 14000; }")  # so long nothing was heard
    chat.wait_for_timeout(4500)  # it looks every two seconds
    expect(answer(chat)).to_have_attribute("data-status", "generating")
    assert len(ways) == 1
    chat.evaluate("requestAnimationFrame = painting; held.forEach(act => painting(act))")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(text(chat)).to_have_text("Second answer")
    assert len(ways) == 1


def test_an_answer_that_is_replaced_before_it_was_shown_freezes_nothing(chat: Page, provider: ScriptedProvider) -> None:
    for words in ("First answer", "Second answer", "Third answer", "Fourth answer"):
        provider.enqueue(Script(text=words))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    other, errors = chat.context.new_page(), []
    other.on("pageerror", lambda error: errors.append(str(error)))
    other.goto(chat.url)
    expect(text(other)).to_have_text("First answer")
    other.route("**/c/**", lambda route: route.abort())  # it must do with what it is told
    other.evaluate("painting = requestAnimationFrame; held = []; requestAnimationFrame = act => held.push(act); 0")
    for number in (2, 3):
        chat.get_by_role("button", name="Answer again").click()
        chat.get_by_role("menuitem", name="Again with Fast").click()
        expect(answer(chat).locator(".branch")).to_have_text(f"{number} / {number}")
        expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(answer(other)).to_have_attribute("data-message-id", answer(chat).get_attribute("data-message-id") or "")
    other.evaluate("requestAnimationFrame = painting; held.forEach(act => painting(act))")
    expect(text(other)).to_have_text("Third answer")
    write(chat, "And then?")
    expect(answer(other)).to_have_attribute("data-status", "complete")
    expect(text(other)).to_have_text("Fourth answer")
    assert not errors


@pytest.mark.parametrize("way", ["edit", "again"])
def test_an_answer_on_another_branch_ends_without_a_trace(chat: Page, provider: ScriptedProvider, way: str) -> None:
    provider.enqueue(Script(text="First answer"))
    write(chat, "First question")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    provider.enqueue(HELD)
    if way == "edit":
        chat.get_by_role("button", name="Edit question").click()
        chat.get_by_label("Question", exact=True).fill("Another question")
        chat.keyboard.press("Enter")
    else:
        chat.get_by_role("button", name="Answer again").click()
        chat.get_by_role("menuitem", name="Again with Fast").click()
    provider.wait_until(lambda bill: bill.waiting == 1, timeout=20)
    branched = chat.locator("article[data-role=user]" if way == "edit" else "article[data-role=assistant]")
    expect(branched.locator(".branch")).to_have_text("2 / 2")
    branched.locator("[data-way=previous]").evaluate("button => button.click()")  # as another tab may
    expect(text(chat)).to_have_text("First answer")
    chat.evaluate("shown = [...document.querySelectorAll('article')]")
    provider.release()
    provider.wait_idle()
    chat.wait_for_timeout(1000)  # for what must not happen
    assert chat.evaluate("shown.every(article => article.isConnected)")
    expect(chat.locator("article")).to_have_count(2)
    expect(chat.locator("article[data-role=user] [data-content]")).to_have_text("First question")
    expect(text(chat)).to_have_text("First answer")


def test_what_came_and_went_while_nothing_was_heard_is_shown(
    chat: Page, provider: ScriptedProvider, live_web: Web, alice: User
) -> None:
    provider.enqueue(Script(text="First answer"))
    write(chat, "First question")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    sockets: list[WebSocketRoute] = []

    def keep(socket: WebSocketRoute) -> None:
        sockets.append(socket)  # on which nothing of the answer is told

    chat.route_web_socket("**/ws/**", keep)
    chat.reload()
    listening = next(socket for socket in sockets if socket.url.endswith("/ws/me/"))
    listening.send('{"type":"listening"}')
    provider.enqueue(Script(text="Second answer"))
    conversation = chat.url.rstrip("/").rpartition("/")[2]
    Person(live_web, alice).post(f"conversations/{conversation}/messages/", {"content": "Second question"})
    expect(chat.locator("article")).to_have_count(2)
    listening.send('{"type":"listening"}')
    expect(chat.locator("article")).to_have_count(4)
    expect(text(chat)).to_have_text("Second answer")


def test_a_page_that_was_frozen_catches_up(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(LONG)
    write(chat, "Hello there")
    grows(chat)
    browser = chat.context.new_cdp_session(chat)
    browser.send("Page.setWebLifecycleState", {"state": "frozen"})
    assert provider.wait_idle(timeout=20).rows[0].outcome == "complete"
    browser.send("Page.setWebLifecycleState", {"state": "active"})
    sees_all(chat, provider)


def test_a_server_that_is_restarted_in_mid_reply_finishes_it_first(
    start_web: Callable[..., Web], enter: Callable[[str], Page], provider: ScriptedProvider
) -> None:
    web = start_web()
    page = enter(web.url)
    provider.enqueue(LONGER)
    write(page, "Hello there")
    before = grows(page)
    web.stop()
    web.start()
    sees_all(page, provider)
    assert whole(provider).startswith(before.strip())
    write(page, "And then?")
    expect(page.locator("article")).to_have_count(4)
    expect(answer(page)).to_have_attribute("data-status", "complete")


def test_without_websockets_all_comes_by_plain_http(
    live_web: Web, enter: Callable[[str], Page], provider: ScriptedProvider
) -> None:
    with without_sockets(live_web.port) as address:
        page = enter(address)
        provider.enqueue(LONGER)
        write(page, "Hello there")
        grows(page)
        second = page.context.new_page()
        second.goto(page.url)
        grows(second)
        for tab in (page, second):
            sees_all(tab, provider)
        provider.enqueue(LONGER)
        write(page, "And then?")
        expect(page.locator("article")).to_have_count(4)
        grows(page)
        page.get_by_role("button", name="Stop").click()
        expect(answer(page)).to_have_attribute("data-status", "stopped")
        expect(second.locator("article[data-status=stopped]")).to_have_count(1, timeout=PATIENCE)
    assert len(provider.wait_idle().rows) == 2
