"""What a person does in front of a page, and what they look at."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Locator, Page

from tests.provider import Script, ScriptedProvider
from tests.tabs import PATIENCE

LONG = Script(delta_count=200, delay_between=0.01)


def write(page: Page, text: str) -> None:
    page.wait_for_load_state("load")  # until its scripts have run, the form sends by itself, and waits
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def answer(page: Page, status: str = "") -> Locator:
    """The newest answer, with its status where one is given."""
    state = f"[data-status={status}]" if status else ""
    return page.locator(f"article[data-role=assistant]{state}").last


def text(page: Page) -> Locator:
    return answer(page).locator("[data-content]")


def until(page: Page, true: str, argument: Any = None) -> None:
    """Wait until an expression, or a function of the argument, is true of the page.

    Playwright's own `wait_for_function` asks again from within the page, whose policy forbids that to strings.
    """
    end = time.monotonic() + PATIENCE
    while not page.evaluate(true, argument):
        assert time.monotonic() < end, f"it never came that {true}"
        page.wait_for_timeout(50)


def grows(page: Page) -> str:
    """What is shown once the newest answer has grown twice."""
    seen = ""
    for _ in range(2):
        before = seen
        until(
            page,
            "before => { const all = document.querySelectorAll('article[data-role=assistant] [data-content]');"
            "return all.length && all[all.length - 1].textContent.length > before; }",
            len(before) + 20,
        )
        seen = text(page).text_content() or ""
        assert seen.startswith(before)
    return seen


def whole(provider: ScriptedProvider) -> str:
    """The text of the provider's newest answer, as a page shows it."""
    return provider.wait_idle().rows[-1].text.strip()
