"""What a person does with conversations: name, pin, put away, delete, bring back, find; and how other tabs see it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import User
from billing.models import UsageRecord
from conversations.models import Conversation, Message
from conversations.rendering import render
from tests.browser.acting import answer, text, write
from tests.provider import ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation

pytestmark = pytest.mark.once("embedded")


def choose(page: Page, name: str) -> None:
    page.get_by_role("button", name="Conversation menu").click()
    page.get_by_role("menuitem", name=name).click()


def listed(page: Page, title: str) -> Locator:
    return page.locator("#side .list").get_by_role("link", name=title)


@pytest.fixture
def talk(chat: Page, alice: User, live_web: Web) -> Page:
    """Alice before a conversation named Plans."""
    made = make_conversation(alice, messages=4, title="Plans")
    chat.goto(f"{live_web.url}/c/{made.pk}/")
    return chat


def test_rename_in_place_shows_in_another_tab(talk: Page) -> None:
    other = talk.context.new_page()
    other.goto(talk.url)
    choose(talk, "Rename")
    box = talk.get_by_label("Name", exact=True)
    expect(box).to_have_value("Plans")
    box.fill("Plans for May")
    box.press("Enter")
    for page in (talk, other):
        expect(page.get_by_role("heading", name="Plans for May")).to_be_visible()
        expect(page).to_have_title("Plans for May · Company chat")
        expect(listed(page, "Plans for May")).to_be_visible()
    choose(talk, "Rename")
    box.fill("Something else")
    box.press("Escape")
    expect(talk.get_by_role("heading", name="Plans for May")).to_be_visible()
    assert Conversation.objects.get().title == "Plans for May"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_menu_of_a_listed_conversation_works_on_a_phone(talk: Page, scheme: Any) -> None:
    talk.emulate_media(color_scheme=scheme)
    talk.set_viewport_size({"width": 360, "height": 740})
    talk.get_by_role("button", name="Conversations", exact=True).click()
    actions = talk.get_by_role("button", name="Actions for Plans")
    actions.click()
    expect(talk.get_by_role("menuitem", name="Rename")).to_be_focused()
    expect(actions).to_be_visible()
    at, own = actions.bounding_box(), talk.get_by_role("menu").bounding_box()
    assert at is not None
    assert own is not None
    assert own["y"] == pytest.approx(at["y"] + at["height"] + 4, abs=1)
    talk.keyboard.press("Escape")
    expect(actions).to_be_focused()
    actions.click()
    talk.get_by_role("menuitem", name="Rename").click()
    box = talk.get_by_label("Name", exact=True)
    expect(box).to_be_focused()
    box.press("Escape")
    expect(box).to_have_count(0)
    expect(actions).to_be_focused()
    actions.click()
    talk.get_by_role("menuitem", name="Rename").click()
    box.fill("Plans for May")
    box.press("Enter")
    expect(listed(talk, "Plans for May")).to_be_visible()
    assert Conversation.objects.get().title == "Plans for May"
    assert talk.evaluate("document.documentElement.scrollWidth") <= 360


def test_pin_archive_and_instruct(talk: Page) -> None:
    choose(talk, "Pin to the top")
    expect(talk.get_by_role("heading", name="Pinned")).to_be_visible()
    choose(talk, "Instructions…")
    talk.get_by_role("textbox", name="Instructions").fill("Answer in verse.")
    talk.get_by_role("button", name="Keep").click()
    expect(talk.locator("#status")).to_have_text("The instructions are kept.")
    other = talk.context.new_page()
    other.goto(talk.url)
    choose(talk, "Archive")
    expect(listed(talk, "Plans")).to_have_count(0)
    for page in (talk, other):
        expect(page.locator("#archived")).to_be_visible()
    talk.get_by_role("button", name="Undo").click()
    expect(other.locator("#archived")).to_be_hidden()
    expect(listed(talk, "Plans")).to_be_visible()
    made = Conversation.objects.get()
    assert (made.pinned, made.archived, made.system_prompt) == (True, False, "Answer in verse.")


def test_delete_can_be_undone(talk: Page, live_web: Web) -> None:
    there = talk.url
    other = talk.context.new_page()
    other.goto(there)
    choose(talk, "Delete")
    talk.wait_for_url(f"{live_web.url}/")
    expect(listed(talk, "Plans")).to_have_count(0)
    expect(other.locator("#note")).to_contain_text("was deleted")
    box, send = other.get_by_label("Message", exact=True), other.get_by_role("button", name="Send")
    expect(box).not_to_be_editable()
    expect(send).to_be_disabled()
    talk.get_by_role("button", name="Undo").click()
    talk.wait_for_url(there)
    expect(talk.locator("article")).to_have_count(4)
    expect(other.locator("#note")).to_be_hidden()
    expect(box).to_be_editable()
    expect(send).to_be_enabled()


def test_what_another_tab_deleted_is_brought_back_from_the_note(talk: Page, live_web: Web) -> None:
    other = talk.context.new_page()
    other.goto(talk.url)
    choose(talk, "Delete")
    talk.wait_for_url(f"{live_web.url}/")
    expect(other.locator("#note")).to_contain_text("for ten minutes")
    other.get_by_role("button", name="Restore").click()
    expect(other.locator("#note")).to_be_hidden()
    expect(other.get_by_label("Message", exact=True)).to_be_editable()
    assert Conversation.objects.get().deleted_at is None
    expect(listed(talk, "Plans")).to_be_visible()
    write(other, "Hello again")
    expect(answer(other)).to_have_attribute("data-status", "complete")


def test_drafts_go_with_what_they_were_for(talk: Page, live_web: Web, provider: ScriptedProvider) -> None:
    drafts = "Object.keys(localStorage).filter(key => key.startsWith('draft:')).length"
    box = talk.get_by_label("Message", exact=True)
    box.fill("A secret of mine")
    assert talk.evaluate(drafts) == 1
    choose(talk, "Delete")
    talk.wait_for_url(f"{live_web.url}/")
    assert talk.evaluate(drafts) == 0
    talk.goto(f"{live_web.url}/?temporary")
    write(talk, "Just between us")
    expect(answer(talk)).to_have_attribute("data-status", "complete")
    box.fill("Another secret")
    assert talk.evaluate(drafts) == 0
    talk.goto(f"{live_web.url}/")
    box.fill("Half a thought")
    assert talk.evaluate(drafts) == 1
    talk.get_by_role("button", name="Sign out").click()
    talk.wait_for_url("**/accounts/login/**")
    assert talk.evaluate(drafts) == 0


def test_instructions_leave_the_name_of_a_temporary_chat_alone(chat: Page, provider: ScriptedProvider) -> None:
    chat.get_by_role("link", name="New temporary chat").click()
    write(chat, "Just between us")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    choose(chat, "Instructions…")
    chat.get_by_role("textbox", name="Instructions").fill("Answer in verse.")
    chat.get_by_role("button", name="Keep").click()
    expect(chat.locator("#status")).to_have_text("The instructions are kept.")
    expect(chat.get_by_role("heading", name="Temporary chat")).to_be_visible()


def test_a_branch_chosen_in_one_tab_is_shown_in_the_other(talk: Page, provider: ScriptedProvider) -> None:
    other = talk.context.new_page()
    other.goto(talk.url)
    expect(talk.locator("#quote")).to_contain_text("tokens in")
    talk.get_by_role("button", name="Answer again").last.click()
    talk.get_by_role("menuitem", name="Again with Fast").click()
    for page in (talk, other):
        expect(answer(page)).to_have_attribute("data-status", "complete")
        expect(answer(page).locator(".branch")).to_have_text("2 / 2")
    answer(talk).get_by_role("button", name="Previous version").click()
    for page in (talk, other):
        expect(answer(page).locator(".branch")).to_have_text("1 / 2")
        expect(text(page)).to_have_text("text 3 <b>&")


def test_a_new_conversation_comes_into_the_list_of_another_tab(chat: Page, provider: ScriptedProvider) -> None:
    other = chat.context.new_page()
    other.goto(chat.url)
    question = "A brand new question, which is rather too long to be the whole name of this conversation"
    write(chat, question)
    name = f"{question[:59].rpartition(' ')[0]}…"
    expect(listed(other, name)).to_be_visible()
    expect(chat.get_by_role("heading", name=name)).to_be_visible()


def test_a_temporary_chat_is_in_no_list(chat: Page, provider: ScriptedProvider) -> None:
    chat.get_by_role("link", name="New temporary chat").click()
    expect(chat.get_by_role("checkbox", name="Temporary chat")).to_be_checked()
    write(chat, "Just between us")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(chat.get_by_role("heading", name="Temporary chat")).to_be_visible()
    expect(listed(chat, "Just between us")).to_have_count(0)
    choose(chat, "Delete")
    expect(chat.locator("#toast")).to_contain_text("The temporary chat is gone.")
    assert not Message.objects.exists()
    assert UsageRecord.objects.count() == 1


def test_search_shows_the_hit_and_leads_to_it(talk: Page, alice: User) -> None:
    make_conversation(alice, messages=120, title="Long")
    message = Message.objects.get(conversation__title="Long", depth=10)
    Message.objects.filter(pk=message.pk).update(content="Here is the needle in the hay")
    talk.get_by_role("searchbox").fill("needle")
    talk.get_by_role("searchbox").press("Enter")
    hit = talk.locator(".found mark").first
    expect(hit).to_have_text("needle")
    talk.locator(".found").get_by_role("link", name="Long").click()
    expect(talk.get_by_text("Here is the needle")).to_be_in_viewport()


def test_earlier_messages_come_above_and_can_be_used_like_the_newest(chat: Page, live_web: Web, alice: User) -> None:
    conversation = make_conversation(alice, messages=120)
    code = "```py\nx\n```\n"
    conversation.messages.filter(role="assistant").update(content=code, html=render(code))
    chat.goto(f"{live_web.url}/c/{conversation.pk}/")
    newest = chat.locator(".msg").first
    expect(chat.locator(".msg")).to_have_count(50)
    chat.get_by_role("link", name="Earlier messages").scroll_into_view_if_needed()
    top = "element => element.getBoundingClientRect().top"
    before = newest.evaluate(top)
    chat.get_by_role("link", name="Earlier messages").press("Enter")
    expect(chat.locator(".msg")).to_have_count(100)
    assert abs(chat.locator(".msg").nth(50).evaluate(top) - before) < 1
    expect(chat.locator(".msg").nth(49).get_by_role("heading", level=2)).to_be_focused()
    chat.get_by_role("link", name="Earlier messages").click()
    expect(chat.locator(".msg")).to_have_count(120)
    expect(chat.get_by_role("link", name="Earlier messages")).to_have_count(0)
    expect(chat.locator("figure.code").first.get_by_role("button", name="Wrap lines")).to_have_count(1)
    chat.locator(".msg").first.get_by_role("button", name="Edit question").press("Enter")
    expect(chat.locator(".msg").first.get_by_role("textbox")).to_be_focused()
    chat.goto(f"{live_web.url}/c/{conversation.pk}/?before=70")
    expect(chat.locator("figure.code").first.get_by_role("button", name="Wrap lines")).to_have_count(1)
    expect(chat.get_by_role("button", name="Edit question")).to_have_count(0)
    assert chat.evaluate("document.querySelector(document.querySelector('.skip').hash)") is not None, "it leads nowhere"
    chat.locator(".msg").first.get_by_role("button", name="Copy question").press("Enter")
    expect(chat.get_by_role("status").first).to_have_text(re.compile("opied"))


def test_all_by_keyboard(talk: Page) -> None:
    talk.get_by_role("button", name="Conversation menu").focus()
    talk.keyboard.press("Enter")
    expect(talk.get_by_role("menuitem", name="Rename")).to_be_focused()
    talk.keyboard.press("End")
    expect(talk.get_by_role("menuitem", name="Delete")).to_be_focused()
    talk.keyboard.press("Escape")
    expect(talk.get_by_role("button", name="Conversation menu")).to_be_focused()
    talk.keyboard.press("?")
    sheet = talk.get_by_role("dialog", name="Keyboard")
    expect(sheet).to_be_visible()
    talk.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(talk.get_by_role("button", name="Conversation menu")).to_be_focused()
    talk.keyboard.press("m")
    expect(talk.get_by_label("Message", exact=True)).to_be_focused()
    talk.keyboard.press("?")
    expect(talk.get_by_label("Message", exact=True)).to_have_value("?")


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_is_wider_than_the_page(talk: Page, width: int) -> None:
    talk.set_viewport_size({"width": width, "height": 740})
    expect(talk.locator("#quote")).to_contain_text("tokens in")
    assert talk.evaluate("document.documentElement.scrollWidth") <= width
