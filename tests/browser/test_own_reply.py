"""A tab whose message waits for the connection takes no other tab's reply for its own."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from accounts.models import User
from billing.models import UsageRecord
from tests.browser.acting import answer, write
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("scaled")

PATIENCE = 30_000  # milliseconds
OURS = "And then?"


def waiting(page: Page, heard: Callable[[str], bool]) -> WebSocketRoute:
    """The page's connection, once a message of its own was lost on it; of what comes it hears only some events."""
    ways: list[WebSocketRoute] = []
    lost: list[str] = []

    def between(way: WebSocketRoute) -> None:
        ways.append(way)
        server = way.connect_to_server()
        if len(ways) > 1:
            return
        way.on_message(lambda said: lost.append(str(said)) if json.loads(said)["type"] == "send" else server.send(said))
        server.on_message(lambda said: way.send(said) if heard(json.loads(said)["type"]) else None)

    page.route_web_socket("**/ws/conversations/**", between)
    page.reload()
    write(page, OURS)
    while not lost:
        page.wait_for_timeout(50)
    return ways[0]


@pytest.mark.parametrize(
    ("theirs", "heard"),
    [
        (["Something else"], ("done", "error")),
        ([OURS], ("started", "delta", "done", "error")),
        (["One more", OURS], ("started", "delta", "done", "error")),
    ],
    ids=["its end alone", "the same words", "on what is not shown yet"],
)
@pytest.mark.parametrize("good", [True, False], ids=["good", "failed"])
def test_another_tabs_reply_is_not_taken_for_ones_own(
    chat: Page, provider: ScriptedProvider, live_web: Web, alice: User, theirs: list[str], heard: tuple[str, ...],
    good: bool,
) -> None:  # fmt: skip
    provider.set_default(Script(text="An answer"))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    way = waiting(chat, heard.__contains__)
    if not good:
        provider.set_default(Script(status=400, error_code="content_policy_violation"))
    conversation = chat.url.rstrip("/").rpartition("/")[2]
    for words in theirs:
        Person(live_web, alice).post(f"conversations/{conversation}/messages/", {"content": words})
    shown = 2 + 2 * len(theirs)
    expect(chat.locator("article")).to_have_count(shown, timeout=PATIENCE)
    expect(chat.get_by_label("Message", exact=True)).to_have_value(OURS)
    expect(chat.get_by_role("button", name="Send")).to_have_attribute("aria-disabled", "true")
    expect(chat.locator("#note")).to_be_hidden()

    provider.set_default(Script(text="The answer"))
    way.close(code=1012)
    expect(chat.locator("article")).to_have_count(shown + 2, timeout=PATIENCE)
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(answer(chat).locator("[data-content]")).to_have_text("The answer")
    expect(chat.get_by_label("Message", exact=True)).to_have_value("")
    provider.wait_idle()
    assert UsageRecord.objects.count() == shown // 2 + 1
