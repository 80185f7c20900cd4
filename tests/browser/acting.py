"""What a person does in front of a page, and what they look at."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from tests.provider import Script, ScriptedProvider

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


def grows(page: Page) -> str:
    """What is shown once the newest answer has grown twice."""
    seen = ""
    for _ in range(2):
        before = seen
        page.wait_for_function(
            "before => { const all = document.querySelectorAll('article[data-role=assistant] [data-content]');"
            "return all.length && all[all.length - 1].textContent.length > before; }",
            arg=len(before) + 20,
        )
        seen = text(page).text_content() or ""
        assert seen.startswith(before)
    return seen


def whole(provider: ScriptedProvider) -> str:
    """The text of the provider's newest answer, as a page shows it."""
    return provider.wait_idle().rows[-1].text.strip()
