"""What a reader sees of an answer as it comes: finished blocks rendered, nothing that moves, nothing that runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from conversations.models import Message
from conversations.rendering import render
from tests.browser.acting import answer, text, write
from tests.provider import Script, ScriptedProvider
from tests.test_rendering import ATTACKS
from tests.test_rendering_blocks import ANSWER

pytestmark = pytest.mark.once("scaled")

SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => { window.shifted += value; }))
  .observe({ type: "layout-shift", buffered: true });
"""
# The answer without what the page puts to it: the buttons of code.
PLAIN = """body => {
  const own = body.cloneNode(true);
  own.querySelectorAll("button").forEach((button) => button.remove());
  return own.innerHTML;
}"""
PARSED = "html => { const own = document.createElement('div'); own.innerHTML = html; return own.innerHTML; }"
VIOLATIONS = "addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective));"

# Sets off whatever may hang on an element; gives the attributes that none should have.
TOUCH = """body => [...body.querySelectorAll("*")].flatMap((element) => {
  const kinds = ["mouseover", "focus", "toggle", "error", "load", ...(element.closest("a, button") ? [] : ["click"])];
  for (const kind of kinds) element.dispatchEvent(new Event(kind, { bubbles: true }));
  const isBad = ({ name, value }) => name.startsWith("on") || name === "style" || name === "src"
    || (name === "href" && !/^(https?:|mailto:|#)/.test(value));
  return [...element.attributes].filter(isBad).map(({ name, value }) => `${name}=${value}`);
})"""


def script(answer: str, *, until: str) -> Script:
    """The answer in small pieces, held after some words of it."""
    size = 7
    return Script(
        text=answer, delta_size=size, delay_between=0.004, hold_after=(answer.index(until) + len(until)) // size
    )


@pytest.mark.parametrize("width", [360, 1280])
def test_finished_blocks_come_rendered_and_stay_as_they_are(chat: Page, provider: ScriptedProvider, width: int) -> None:
    chat.set_viewport_size({"width": width, "height": 740})
    chat.add_init_script(SHIFTS)
    chat.reload()
    provider.enqueue(script(ANSWER, until="| 1 | 2"))
    write(chat, "Hello there")
    body = text(chat)
    expect(body.locator(".open")).to_contain_text("|---")
    expect(body.locator("figure.code")).to_have_count(2)
    expect(body.locator(".open")).not_to_contain_text("select")
    shown = [
        *chat.evaluate("[document.querySelector('[data-role=assistant] [data-content]').innerText, window.shifted]")
    ]
    assert shown[1] <= 0.02

    chat.reload()  # in the middle of a block
    expect(body.locator("figure.code")).to_have_count(2)
    expect(body.locator(".open")).to_contain_text("|---")
    assert body.inner_text() == shown[0]
    body.get_by_role("button", name="Wrap lines").last.click()
    body.evaluate("body => { body.firstElementChild.ours = true; }")

    provider.release()
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    assert body.evaluate("body => body.firstElementChild.ours")  # nobody touched it
    expect(body.get_by_role("button", name="Wrap lines").last).to_have_attribute("aria-pressed", "true")
    expect(body.get_by_role("button", name="Copy code")).to_have_count(2)
    expect(body.locator(".open, .caret")).to_have_count(0)
    body.get_by_role("button", name="Wrap lines").last.click()
    assert chat.evaluate("window.shifted") <= 0.02
    stored = Message.objects.get(role="assistant")
    assert stored.html == render(ANSWER)
    body.locator("figure").evaluate_all("all => all.forEach((one) => { one.className = 'code'; })")
    assert body.evaluate(PLAIN) == chat.evaluate(PARSED, stored.html)


def test_a_long_answer_is_whole_at_its_end_whoever_looked_away(chat: Page, provider: ScriptedProvider) -> None:
    long = "".join(f"Paragraph **{number}** 😀, some words.\n\n- an item\n\n" for number in range(150)) + "The end"
    provider.enqueue(Script(text=long, delta_size=10, ignore_cap=True))
    write(chat, "Hello there")
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    streamed = text(chat).evaluate(PLAIN)
    assert text(chat).locator(".part.far").count() > 1
    chat.reload()
    assert text(chat).evaluate(PLAIN) == streamed
    assert text(chat).inner_text().split()[-2:] == ["The", "end"]


def test_a_paragraph_without_end_is_wrapped_as_if_it_were_one(chat: Page, provider: ScriptedProvider) -> None:
    endless = " ".join(f"word{number}" for number in range(1500))
    script = Script(
        text=endless, delta_size=50, delay_between=0.002, hold_after=len(endless) // 50 - 2, ignore_cap=True
    )
    provider.enqueue(script)
    write(chat, "Hello there")
    expect(text(chat).locator(".open")).to_contain_text("word1480")
    assert text(chat).locator(".open>span").count() > 2
    height = "element => Math.round(element.getBoundingClientRect().height)"
    wrapped = text(chat).locator(".open").evaluate(height)
    joined = """open => {
      const one = document.createElement("p");
      one.textContent = open.textContent;
      open.before(one);
      return one;
    }"""
    assert text(chat).locator(".open").evaluate_handle(joined).evaluate(height) == wrapped
    provider.release()
    expect(answer(chat)).to_have_attribute("data-status", "complete")


def test_nothing_runs_that_comes_in_an_answer(chat: Page, provider: ScriptedProvider) -> None:
    page, seen = chat, list[str]()
    page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: seen.append(message.text) if message.type == "error" else None)
    page.on("popup", lambda tab: seen.append(tab.url))
    here = urlsplit(page.url).netloc
    page.on("request", lambda request: seen.append(request.url) if urlsplit(request.url).netloc != here else None)
    page.add_init_script(VIOLATIONS)
    page.reload()
    attacks = [attack.replace("\x00", "") for attack in ATTACKS]
    corpus = "\n\n".join(f"{attack}\n\n- item {attack}\n\n> {attack}\n\nAfter" for attack in attacks)
    provider.enqueue(Script(text=corpus, delta_size=1, delay_between=0.0001, ignore_cap=True))
    write(page, "Hello there")
    for _ in range(2):
        expect(answer(page)).to_have_attribute("data-status", "complete", timeout=30_000)
        bad: list[Any] = text(page).evaluate(TOUCH)
        assert bad == []
        assert seen == []
        assert (
            text(page).locator("script, iframe, form, svg:not(button svg), img, style, base, meta, object").count() == 0
        )
        page.reload()
