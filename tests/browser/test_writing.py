"""What a person reads and does while writing: the quote, the draft, another try, an edit, another answer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from billing import limiting
from billing.models import Account, Price, UsageRecord
from conversations.models import Conversation
from tests.browser.acting import answer, text, until, write
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("embedded")


def test_what_it_costs_is_said_before_send_and_is_never_more(chat: Page, provider: ScriptedProvider) -> None:
    chat.get_by_label("Message", exact=True).fill("Why is the sky blue? " * 20)
    quote = chat.locator("#quote")
    expect(quote).to_contain_text(re.compile(r"^At most \$0\.\d{5} · \d+ tokens in$"))
    expect(quote).to_contain_text("128 tokens in")
    expect(chat.locator(".gauge")).to_contain_text("/ 4,000")
    fast = quote.inner_text()
    chat.get_by_text("Smart", exact=True).click()
    expect(quote).not_to_have_text(fast)
    expect(chat.get_by_text("gpt-4o, about 17 times the price")).to_be_visible()
    chat.get_by_text("Fast", exact=True).click()
    expect(quote).to_have_text(fast)
    chat.get_by_role("button", name="Send").click()
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(quote).to_contain_text("the whole conversation fits")
    record = UsageRecord.objects.get()
    assert record.cost <= record.hold
    most = re.search(r"\$([\d.]+)", fast)
    assert most is not None
    assert record.hold <= float(most[1]) * 1e9


def test_only_what_is_left_behind_is_said_to_be(chat: Page, provider: ScriptedProvider) -> None:
    """A question that was refused goes along nowhere; what stands above it is sent all the same."""
    quote, gone, cut = chat.locator("#quote"), chat.locator(".gone"), chat.locator(".cut")
    write(chat, "Why is the sky blue?")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    provider.enqueue(Script(status=400, error_code="content_policy_violation"))
    write(chat, "What nobody may ask")
    expect(answer(chat)).to_have_attribute("data-status", "failed")
    chat.get_by_label("Message", exact=True).fill("And at night?")
    expect(quote).to_contain_text("the whole conversation fits")
    expect(cut).to_have_count(0)
    expect(gone).to_have_count(2)
    expect(gone.first).to_contain_text("What nobody may ask")
    chat.get_by_label("Message", exact=True).fill("And at night? " * 990)
    expect(quote).to_contain_text("2 older not sent")
    expect(cut).to_have_text("2 older messages above are no longer sent")
    expect(gone).to_have_count(4)
    assert cut.evaluate("line => line.previousElementSibling.querySelector('article').dataset.status") == "complete"


def test_a_message_over_the_budget_says_so_before_send(chat: Page, alice: User, provider: ScriptedProvider) -> None:
    limiting.set_limit(user=alice, period="day", limit=1000)
    chat.get_by_label("Message", exact=True).fill("Hello there")
    expect(chat.locator("#quote")).to_contain_text("Needs up to $0.00")
    expect(chat.locator("#quote")).to_contain_text("$0.00000 left today")
    assert not provider.bill.rows


def test_a_draft_is_kept_for_each_conversation(chat: Page, provider: ScriptedProvider) -> None:
    box = chat.get_by_label("Message", exact=True)
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    box.fill("Half a thought")
    box.press("Shift+Enter")
    box.press_sequentially("and more")
    there = chat.url
    chat.goto(chat.url.split("/c/")[0] + "/")
    expect(box).to_have_value("")
    chat.goto(there)
    expect(box).to_have_value("Half a thought\nand more")


def test_editing_and_answering_again_make_branches_that_one_can_walk(chat: Page, provider: ScriptedProvider) -> None:
    for reply in ("First answer", "Second answer", "Third answer"):
        provider.enqueue(Script(text=reply))
    write(chat, "First question")
    expect(text(chat)).to_have_text("First answer")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    chat.get_by_role("button", name="Answer again").click()
    expect(chat.get_by_role("menuitem").first).to_contain_text("at most $0.00")
    chat.get_by_role("menuitem", name="Again with Smart").click()
    expect(text(chat)).to_have_text("Second answer")
    expect(answer(chat).locator(".branch")).to_have_text("2 / 2")
    expect(answer(chat).locator(".cost")).to_contain_text("gpt-4o ·")
    chat.get_by_role("button", name="Edit question").click()
    box = chat.get_by_label("Question", exact=True)
    expect(box).to_have_value("First question")
    box.press("Escape")
    expect(chat.get_by_role("button", name="Edit question")).to_be_focused()
    chat.keyboard.press("Enter")
    box.fill("Another question")
    box.press("Enter")
    expect(text(chat)).to_have_text("Third answer")
    question = chat.locator("article[data-role=user]")
    expect(question).to_have_count(1)
    expect(question.locator("[data-content]")).to_have_text("Another question")
    expect(question.locator(".branch")).to_have_text("2 / 2")
    expect(answer(chat).locator(".branch")).to_have_count(0)
    question.get_by_role("button", name="Previous version").click()
    expect(question.locator("[data-content]")).to_have_text("First question")
    expect(text(chat)).to_have_text("Second answer")
    answer(chat).get_by_role("button", name="Previous version").click()
    expect(text(chat)).to_have_text("First answer")
    expect(answer(chat).get_by_role("button", name="Previous version")).to_be_focused()
    chat.reload()
    expect(text(chat)).to_have_text("First answer")
    assert len(provider.bill.rows) == 3


def test_a_refused_message_is_sent_again_by_one_button(chat: Page, alice: User, provider: ScriptedProvider) -> None:
    limiting.set_limit(user=alice, period="day", limit=1000)
    with chat.expect_response(lambda response: response.request.method == "DELETE"):
        write(chat, "Hello there")
    retry = chat.get_by_role("button", name="Try again")
    expect(retry).to_be_visible()
    chat.wait_for_url("**/")
    expect(chat.get_by_role("heading", name="What are you working on?")).to_be_visible()
    assert not Conversation.objects.filter(deleted_at=None)  # what was to be begun by it is taken back
    chat.reload()
    expect(chat.get_by_label("Message", exact=True)).to_have_value("Hello there")
    chat.get_by_role("button", name="Send").click()
    expect(retry).to_be_visible()
    limiting.set_limit(user=alice, period="day", limit=None)
    retry.click()
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(chat.locator("#note")).to_be_hidden()
    assert len(provider.bill.rows) == 1


def test_the_page_follows_only_at_the_end(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="\n\n".join(f"Line {number}." for number in range(100)), delay_between=0.02))
    write(chat, "Hello there")
    latest = chat.get_by_role("link", name="Latest")
    until(chat, "() => document.documentElement.scrollHeight > innerHeight + 400")
    expect(latest).to_be_hidden()
    chat.mouse.move(600, 300)
    chat.mouse.wheel(0, -300)
    expect(latest).to_be_visible()
    place = chat.evaluate("scrollY")
    expect(answer(chat)).to_have_attribute("data-status", "complete", timeout=20_000)
    assert chat.evaluate("scrollY") == pytest.approx(place, abs=400)
    latest.click()
    expect(latest).to_be_hidden()


@pytest.mark.parametrize("way", ["wheel", "keys"])
def test_who_moves_up_a_little_is_left_there(chat: Page, provider: ScriptedProvider, way: str) -> None:
    provider.enqueue(Script(text="\n\n".join(f"Line {number}." for number in range(200)), delay_between=0.02))
    write(chat, "Hello there")
    latest = chat.get_by_role("link", name="Latest")
    until(chat, "() => document.documentElement.scrollHeight > innerHeight + 400")
    chat.mouse.move(600, 300)
    chat.evaluate("document.activeElement.blur()")
    if way == "wheel":
        for _ in range(5):
            chat.mouse.wheel(0, -6)
    else:
        chat.keyboard.press("ArrowUp")
    expect(latest).to_be_visible()
    place = chat.evaluate("scrollY")
    height = chat.evaluate("document.documentElement.scrollHeight")
    until(chat, "height => document.documentElement.scrollHeight > height + 400", height)
    assert chat.evaluate("scrollY") <= place + 1
    if way == "wheel":
        chat.mouse.wheel(0, 90_000)
    else:
        chat.keyboard.press("End")
    expect(latest).to_be_hidden()
    expect(answer(chat)).to_have_attribute("data-status", "complete", timeout=30_000)
    assert chat.evaluate("innerHeight + scrollY >= document.documentElement.scrollHeight - 2")


def test_a_way_to_start_keeps_what_is_typed(chat: Page) -> None:
    box = chat.get_by_label("Message", exact=True)
    box.fill("My own words")
    chat.get_by_role("button", name="Make a text shorter").click()
    expect(box).to_have_value("Make this text half as long and lose nothing that matters:\n\nMy own words")
    chat.get_by_role("button", name="Explain an error message").click()
    expect(box).to_have_value(re.compile(r"^Explain [^\n]+:\n\nMy own words$"))
    chat.reload()
    expect(box).to_have_value(re.compile(r"^Explain [^\n]+:\n\nMy own words$"))


def test_what_cannot_be_sent_while_an_answer_is_written_says_so(chat: Page, provider: ScriptedProvider) -> None:
    write(chat, "First question")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    provider.enqueue(Script(delta_count=60, hold_after=20))
    write(chat, "Second question")
    provider.wait_until(lambda bill: bill.waiting == 1, timeout=20)
    toast = chat.locator("#toast")
    chat.get_by_role("button", name="Answer again").first.click()
    chat.get_by_role("menuitem", name="Again with Fast").click()
    expect(toast).to_contain_text("An answer is being written")
    chat.get_by_role("button", name="Edit question").first.click()
    chat.get_by_label("Question", exact=True).fill("Another question")
    expect(toast).to_be_hidden(timeout=30_000)
    chat.keyboard.press("Enter")
    expect(toast).to_contain_text("An answer is being written")
    expect(chat.get_by_label("Question", exact=True)).to_have_value("Another question")
    provider.release()
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    assert len(provider.bill.rows) == 2


def test_the_box_is_as_high_as_its_text_where_css_does_not_know_how(chat: Page, provider: ScriptedProvider) -> None:
    chat.add_init_script(
        "CSS.supports = () => false; const old = new CSSStyleSheet(); document.adoptedStyleSheets = [old];"
        "old.replaceSync('textarea {field-sizing: fixed !important}');"
    )
    chat.reload()
    box = chat.get_by_label("Message", exact=True)
    high = "box => box.getBoundingClientRect().height"
    low = box.evaluate(high)
    chat.get_by_role("button", name="Make a text shorter").click()
    assert box.evaluate(high) > low
    box.fill("\n".join("abcdef"))
    assert box.evaluate(high) > 2 * low
    chat.get_by_role("button", name="Send").click()
    expect(box).to_have_value("")
    assert box.evaluate(high) == low


def test_enter_that_ends_a_composition_sends_nothing(chat: Page) -> None:
    box = chat.get_by_label("Message", exact=True)
    box.fill("Hello there")
    enter = "new KeyboardEvent('keydown', {key: 'Enter', keyCode: 229, bubbles: true, cancelable: true})"
    assert box.evaluate(f"box => box.dispatchEvent({enter})"), "Safari has ended it by then, and only the code tells"


def test_a_note_that_nothing_is_left_goes_with_its_cause(chat: Page, alice: User, prices: dict[str, Price]) -> None:
    limiting.set_limit(user=alice, period="day", limit=0)
    chat.reload()
    note = chat.locator("#note")
    expect(note).to_contain_text("Nothing is left")
    limiting.set_limit(user=alice, period="day", limit=None)
    chat.get_by_label("Message", exact=True).fill("Hello there")
    expect(note).to_be_hidden()


@pytest.mark.parametrize(
    ("script", "blank", "state"),
    [
        (Script(deltas=()), "The model gave no text.", ""),
        (Script(text="Half a", finish_reason="content_filter"), "", "Ended by the provider's content filter · "),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_says_so_at_once_and_after(
    chat: Page, provider: ScriptedProvider, script: Script, blank: str, state: str
) -> None:
    provider.enqueue(script)
    write(chat, "Hello there")
    for when in ("as it comes", "as it stands"):
        expect(answer(chat)).to_have_attribute("data-status", "complete")
        expect(answer(chat).locator(".cost")).to_contain_text(f"{state}gpt-4o-mini · ")
        expect(answer(chat).locator("p.lead")).to_have_text([blank] if blank else [])
        assert bool(text(chat).inner_text()) != bool(blank)
        if when == "as it comes":
            expect(chat.locator("#status")).to_have_text(blank or "The provider's content filter ended the answer.")
            chat.reload()


def test_a_heading_has_the_same_room_whatever_its_rank(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="First\n\n### Three\n\nThird\n\n#### Four\n\nFourth"))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    style = (
        "node => ['marginTop', 'marginBottom', 'fontWeight', 'lineHeight'].map(name => getComputedStyle(node)[name])"
    )
    assert text(chat).locator("h6").evaluate(style) == text(chat).locator("h5").evaluate(style)


def test_who_is_disabled_is_told_why_once(chat: Page, alice: User, prices: dict[str, Price]) -> None:
    Account.objects.create(user=alice, disabled_by="staff", disabled_at=timezone.now(), reason="On leave.")
    with chat.expect_response("**/api/quote/"):
        chat.reload()
    expect(chat.locator("#quote")).to_have_text("")
    expect(chat.get_by_text("On leave.")).to_have_count(1)
    with chat.expect_response("**/api/quote/"):
        chat.get_by_label("Message", exact=True).fill("Hello there")
    expect(chat.locator("#quote")).to_have_text("")


def test_no_box_is_zoomed_into_on_a_phone(browser: Browser, chat: Page) -> None:
    with browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 360, "height": 740}) as context:
        context.add_cookies(chat.context.cookies())  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(chat.url)
        sizes = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden],[type=radio],[type=checkbox]),textarea')]"
            ".map(box => parseFloat(getComputedStyle(box).fontSize))"
        )
        assert min(sizes) >= 16


def test_a_copy_that_fails_says_so_to_everyone(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="```\nx = 1\n```"))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    chat.evaluate("navigator.clipboard.writeText = () => Promise.reject(new DOMException('No', 'NotAllowedError')); 0")
    chat.get_by_role("button", name="Copy code").click()
    expect(chat.locator("#toast")).to_contain_text("could not be copied")
    chat.locator("#toast").evaluate("toast => toast.hidePopover()")
    chat.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")  # as over plain HTTP
    chat.get_by_role("button", name="Copy answer as Markdown").click()
    expect(chat.locator("#toast")).to_contain_text("could not be copied")


def test_a_message_is_copied_as_markdown(chat: Page, provider: ScriptedProvider) -> None:
    chat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    provider.enqueue(Script(text="Some **bold** words\n\n- one\n- two"))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    chat.get_by_role("button", name="Copy answer as Markdown").click()
    expect(chat.locator("#status")).to_have_text("Copied.")
    assert chat.evaluate("navigator.clipboard.readText()") == "Some **bold** words\n\n- one\n- two"


@pytest.mark.parametrize("characters", [400_000, 1_500_000])
def test_more_than_a_socket_takes_at_once_is_refused_in_words(
    chat: Page, provider: ScriptedProvider, characters: int
) -> None:
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    box, text = chat.get_by_label("Message", exact=True), "word " * (characters // 5)
    write(chat, text)
    expect(chat.locator("#note")).to_contain_text("too long" if characters < 1_000_000 else "1,048,576 bytes")
    expect(box).to_have_value(text)
    write(chat, "Briefly, then")
    expect(chat.locator("article")).to_have_count(4)
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    expect(chat.locator("#link")).to_be_hidden()


def test_a_message_too_long_for_a_frame_is_sent_and_answered_once(
    start_web: Callable[..., Web], enter: Callable[[str], Page], provider: ScriptedProvider
) -> None:
    web = start_web(CHAT_PROMPT_TOKENS="100000")
    provider.enqueue(Script(text="A long story, this", delay_between=0.1))
    page = enter(web.url)
    write(page, "word " * 40_000)
    expect(answer(page)).to_have_attribute("data-status", "complete", timeout=20_000)
    expect(text(page)).to_have_text("A long story, this")
    expect(page.locator("article")).to_have_count(2)
    expect(page.get_by_label("Message", exact=True)).to_have_value("")
    assert [len(row.body["messages"][-1]["content"]) for row in provider.requests[:1]] == [200_000]
