"""The page for other readers and on other ground: right-to-left text, paper, high contrast, a phone, no scripts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from accounts.models import User
from billing import limiting
from billing.models import Price
from tests.browser.acting import answer, text, write
from tests.conftest import PASSWORD
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation

pytestmark = pytest.mark.once("scaled")

HEBREW = "שלום עולם"
MIXED = f"""{HEBREW}, Django

- `git` {HEBREW}
- one
  1. {HEBREW}

> {HEBREW}

| {HEBREW} | n |
|---|--:|
| a | 1 s |

English, then {HEBREW}.

```python
x = 1  # {HEBREW}
```
"""
LONG_WORD = "Donaudampfschifffahrt" * 20
WIDE = f"""{LONG_WORD} https://example.com/{LONG_WORD} `{LONG_WORD}`

- {LONG_WORD}

| {" | ".join(f"Column {number}" for number in range(12))} |
|{"---|" * 12}
| {" | ".join(LONG_WORD[:30] for _ in range(12))} |

```text
{"a long line " * 30}
```

See [the manual](https://example.com/manual) and https://example.com/bare.

$${" + ".join(f"x_{{{number}}}" for number in range(60))}$$
"""
# Which side of its block the first line of an element's text stands at.
SIDE = """node => {
  const range = document.createRange();
  range.selectNodeContents(node);
  const parts = [...range.getClientRects()].filter(part => part.width);
  const line = parts.filter(part => part.top < parts[0].bottom);
  const {left, right} = (node.closest('td,th') ?? node.closest('.body')).getBoundingClientRect();
  const before = Math.min(...line.map(part => part.left)) - left;
  return before > right - Math.max(...line.map(part => part.right)) ? 'right' : 'left';
}"""


def side(place: Locator) -> str:
    return str(place.evaluate(SIDE))


def test_every_paragraph_stands_at_its_own_side(chat: Page, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(deltas=(f"{MIXED}\n", f"{HEBREW}, the last", " is still open"), hold_after=2))
    write(chat, f"{HEBREW}?\nIn English.")
    body = text(chat)
    question = chat.locator("article[data-role=user] p")
    assert question.evaluate("""node => {
      const range = document.createRange();
      range.selectNodeContents(node);
      const [first, last] = [...range.getClientRects()].filter(rect => rect.width > 20);
      return first.left > last.left;
    }""")
    expect(chat.locator("#title")).to_have_css("direction", "rtl")
    expect(body.locator("pre")).to_have_css("direction", "ltr")
    expect(body.locator(".open")).to_contain_text("the last")
    assert body.locator(".open").evaluate("node => node.textContent").startswith(HEBREW)
    assert side(body.locator(".open>span").first) == "right"
    provider.release()
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    sides = {
        "p >> nth=0": "right", "ul>li>code": "right", "ol>li": "right", "blockquote p": "right", "td.n": "left",
        "p:has-text('English')": "left", "pre code": "left", "p:has-text('the last')": "right",
    }  # fmt: skip
    assert {place: side(body.locator(place)) for place in sides} == sides
    assert chat.evaluate("document.querySelector('[data-content] ol li').matches(':dir(rtl)')"), (
        "the number is there too"
    )
    chat.get_by_label("Message", exact=True).fill(HEBREW)
    expect(chat.get_by_label("Message", exact=True)).to_have_css("direction", "rtl")


def test_nothing_is_wider_than_the_screen_or_the_paper(chat: Page, alice: User, provider: ScriptedProvider) -> None:
    make_conversation(alice, messages=2, title=LONG_WORD[:200])
    provider.enqueue(Script(text=WIDE))
    write(chat, LONG_WORD)
    expect(answer(chat)).to_have_attribute("data-status", "complete")
    width = "document.documentElement.scrollWidth"
    for across in (360, 3840):
        chat.set_viewport_size({"width": across, "height": 740})
        assert chat.evaluate(width) <= across
        assert text(chat).locator("pre").evaluate("node => node.scrollWidth > node.clientWidth")
    chat.set_viewport_size({"width": 720, "height": 1000})
    chat.emulate_media(media="print", color_scheme="dark")
    for gone in ("#side", "#composer", "#about", ".acts", "figcaption button", "#status"):
        expect(chat.locator(gone).first).to_be_hidden()
    body = text(chat)
    for whole in ("pre", ".scroll"):
        assert body.locator(whole).evaluate("node => node.scrollWidth <= node.clientWidth"), whole
    shown = "node => getComputedStyle(node, '::after').content"
    assert body.get_by_role("link", name="the manual").evaluate(shown) == '" (https://example.com/manual)"'
    assert body.get_by_role("link", name="bare").evaluate(shown) == "none"
    ground = chat.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    chat.emulate_media(media="screen", color_scheme="light", forced_colors="active", contrast="more")
    expect(chat.locator(".seg label:has(:checked)")).to_have_css("outline-style", "solid")


def test_without_scripts_one_signs_in_reads_sends_and_is_refused(
    live_web: Web, browser: Browser, alice: User, prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    with browser.new_context(java_script_enabled=False, base_url=live_web.url) as context:
        page = context.new_page()
        page.goto("/accounts/login/")
        page.get_by_label("Email").fill(alice.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        for unusable in ("Conversation menu", "Instructions…", "Stop", "Try again"):
            expect(page.get_by_role("button", name=unusable)).to_be_hidden()
        provider.enqueue(Script(text="A **whole** answer"))
        send(page, "Hello there")
        expect(text(page).locator("strong")).to_have_text("whole")
        expect(answer(page).locator(".cost")).to_contain_text(re.compile(r"\d+ in · \d+ out · \$0\.00\d+"))
        expect(page.get_by_role("heading", name="Hello there")).to_be_visible()
        limiting.set_limit(user=alice, period="day", limit=1000)
        send(page, "One more <question>")
        expect(page.locator("#note")).to_contain_text("has no room for this message")
        expect(page.get_by_label("Message", exact=True)).to_have_value("One more <question>")
        expect(page.locator("article")).to_have_count(2)
        limiting.set_limit(user=alice, period="day", limit=None)
        page.get_by_role("button", name="Send").click()
        expect(page.locator("article")).to_have_count(4)
        page.get_by_role("link", name="New chat").click()
        page.get_by_role("link", name="Hello there").click()
        expect(page.locator("article")).to_have_count(4)
    assert len(provider.bill.rows) == 2


def send(page: Page, words: str) -> Any:
    page.get_by_label("Message", exact=True).fill(words)
    page.get_by_role("button", name="Send").click()
