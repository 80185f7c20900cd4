"""Without a pointer, or without seeing the page: where the focus goes, and what is said while an answer comes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import User
from conversations.models import Conversation
from tests.browser.acting import answer, text
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation

pytestmark = pytest.mark.once("embedded")

# The name of what has the focus; what is wrong with it where it cannot be seen.
FOCUSED = """() => {
  const at = document.activeElement;
  const name = (at.ariaLabel || at.labels?.[0]?.textContent || at.textContent || at.tagName).trim().split('\\n')[0];
  const shown = [at, at.closest('label'), at.closest('.box')].filter(Boolean).map(each => getComputedStyle(each));
  const marked = shown.some(style => style.outlineStyle !== 'none' || style.boxShadow !== 'none');
  const {left, right, top, bottom} = at.getBoundingClientRect();
  const inside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
  return at === document.body ? 'nothing' : marked && inside ? name : `${name}, which is not seen`;
}"""
# All that a screen reader would say of itself, and every move of the focus, from now on.
LISTEN = """() => {
  window.heard = []; window.moved = [];
  const say = node => { if (node.textContent.trim()) heard.push(node.textContent.trim()); };
  for (const region of document.querySelectorAll('[role=status],[role=alert],[aria-live]:not([aria-live=off])'))
    new MutationObserver(() => say(region)).observe(region, {childList: true, characterData: true, subtree: true});
  document.addEventListener('focusin', ({target}) => moved.push(target.id || target.outerHTML));
  document.addEventListener('focusout', ({relatedTarget}) => { if (!relatedTarget) moved.push('nowhere'); });
}"""


def stops(page: Page, key: str, last: Locator) -> list[str]:
    """The names of what has the focus, one key after another, until it is at the last."""
    names: list[str] = []
    while len(names) < 40:
        page.keyboard.press(key)
        names.append(page.evaluate(FOCUSED))
        if last.evaluate("node => node === document.activeElement"):
            return names
    raise AssertionError(f"it is not reached: {names}")


def choose(page: Page, name: str) -> None:
    """Open the menu of what has the focus and choose an entry."""
    page.keyboard.press("Enter")
    entry = page.get_by_role("menuitem", name=name)
    entry.wait_for()
    while not entry.evaluate("node => node === document.activeElement"):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")


def test_a_page_is_walked_in_its_order_and_what_has_the_focus_is_seen(
    chat: Page, live_web: Web, alice: User, provider: ScriptedProvider
) -> None:
    make_conversation(alice, messages=2, title="Plans")
    chat.goto(f"{live_web.url}/?q=Plans")
    chat.keyboard.press("Tab")
    assert chat.evaluate(FOCUSED) == "Skip to the conversations"
    opened = chat.locator("#side .list").get_by_role("link", name="Plans")
    assert stops(chat, "Tab", opened) == [
        "Company chat", "New chat", "New temporary chat: keeps no text, keeps the bill", "Search conversations",
        "Plans",
    ]  # fmt: skip
    chat.keyboard.press("Enter")
    box = chat.get_by_label("Message", exact=True)
    expect(box).to_be_focused()
    assert stops(chat, "Shift+Tab", chat.get_by_role("button", name="Conversation menu"))[::-1] == [
        "Conversation menu", "Edit question", "Copy question", "Copy answer as Markdown", "Answer again",
    ]  # fmt: skip
    choose(chat, "Rename")
    chat.keyboard.type("Plans for May")
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("heading", name="Plans for May")).to_be_visible()
    expect(chat.get_by_role("button", name="Conversation menu")).to_be_focused()
    choose(chat, "Pin to the top")
    expect(chat.get_by_role("heading", name="Pinned")).to_be_visible()
    choose(chat, "Archive")
    undo = chat.get_by_role("button", name="Undo")
    stops(chat, "Tab", undo)
    chat.keyboard.press("Enter")
    expect(chat.locator("#side .list").get_by_role("link", name="Plans for May")).to_be_visible()
    assert chat.evaluate(FOCUSED) == "Send"  # where it came from, since the button is gone
    stops(chat, "Shift+Tab", chat.get_by_role("button", name="Conversation menu"))
    choose(chat, "Delete")
    undo.wait_for()
    stops(chat, "Tab", undo)
    chat.keyboard.press("Enter")
    expect(chat.locator("article")).to_have_count(2)
    assert not Conversation.objects.get().archived


def test_what_is_gone_from_the_list_leaves_the_focus_to_what_comes_in_its_place(
    chat: Page, alice: User, provider: ScriptedProvider
) -> None:
    for title in ("Third", "Second", "First"):
        make_conversation(alice, title=title)
    chat.reload()
    chat.get_by_role("button", name="Actions for First").focus()
    choose(chat, "Delete")
    expect(chat.get_by_role("button", name="Actions for Second")).to_be_focused()


def test_a_conversation_by_keyboard_in_which_the_focus_never_jumps(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=60, delay_between=0.01))
    chat.evaluate(LISTEN)
    chat.keyboard.type("Why?")
    chat.keyboard.press("Enter")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    assert heard(chat) == ["The assistant is writing.", "The answer is complete."]
    assert chat.evaluate("moved") == []
    provider.enqueue(Script(delta_count=500, delay_between=0.02))
    chat.keyboard.type("And then?")
    stops(chat, "Tab", chat.get_by_role("button", name="Send"))
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("button", name="Stop")).to_be_focused()  # it stands where Send was
    expect(text(chat)).to_contain_text(" ")
    chat.keyboard.press("Enter")
    expect(answer(chat)).to_have_attribute("data-status", "stopped")
    expect(chat.get_by_role("button", name="Send")).to_be_focused()
    provider.enqueue(Script(text="One two three", cut_after=2))
    chat.keyboard.press("r")
    expect(chat.get_by_role("menuitem", name="Again with Fast")).to_be_focused()
    chat.keyboard.press("Enter")
    expect(answer(chat)).to_have_attribute("data-status", "failed")
    said = heard(chat)
    failure = answer(chat).locator(".err").inner_text()
    assert said[2:] == ["The assistant is writing.", "Stopped.", "The assistant is writing.", failure]
    expect(chat.get_by_label("Message", exact=True)).to_be_focused()  # what had it went with the branch
    expect(chat.get_by_label("Message", exact=True)).to_have_value("")
    provider.enqueue(Script(text="Edited"))
    stops(chat, "Shift+Tab", answer(chat).get_by_role("button", name="Answer again"))
    chat.keyboard.press("e")
    chat.keyboard.type(" Really?")
    chat.keyboard.press("Enter")
    expect(text(chat)).to_have_text("Edited")
    expect(chat.get_by_label("Message", exact=True)).to_be_focused()
    versions = chat.locator("article[data-role=user]").last.get_by_role("button", name="Previous version")
    stops(chat, "Shift+Tab", versions)
    chat.keyboard.press("Enter")
    expect(chat.locator("article[data-role=user]").last.locator("[data-content]")).to_have_text("And then?")
    expect(versions).to_be_focused()


def heard(page: Page) -> list[Any]:
    """What was said, without what was said again."""
    said: list[Any] = page.evaluate("heard")
    return [sentence for place, sentence in enumerate(said) if said[place - 1 : place] != [sentence]]
