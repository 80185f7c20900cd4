"""Every page for people who cannot see it as others do: WCAG 2.2 AA as far as axe can tell, in both themes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from accounts.models import User
from billing.models import Price
from tests.browser.acting import answer, write
from tests.conftest import PASSWORD
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("embedded")

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EVERYTHING = {"runOnly": TAGS, "resultTypes": ["violations"]}
COLOURS = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
# What is ours of the pages that are Django's: their colours, and room enough to hit what is there.
OURS = {"runOnly": ["color-contrast", "target-size"], "resultTypes": ["violations"]}
DOORS = ("accounts/login/", "accounts/signup/", "accounts/password/reset/", "nothing-here/")
ROOMS = (
    "", "?q=sky", "usage/", "import/", "accounts/password/change/", "accounts/email/", "accounts/logout/",
    "accounts/profile/", "accounts/sessions/", "accounts/tokens/", "accounts/data/", "accounts/delete/",
    "accounts/2fa/", "accounts/2fa/totp/activate/", "accounts/2fa/webauthn/add/",
    "reports/", "reports/reconcile/", "reports/close/2020-01/", "admin/",
)  # fmt: skip
DESKS = ("accounts/user/", "accounts/user/add/", "auth/group/add/", "billing/usagerecord/", "billing/price/add/")
ANSWER = """# Answers

A paragraph with `code`, a [link](https://example.com) and $x^2$.

```python
def f(x):  # a comment
    return {"x": x, "n": 1}
```

| a | b |
|---|---|
| 1 | 2 |

> Quoted.

- [x] done
"""


def found(page: Page, what: str, rules: dict[str, list[str]] = EVERYTHING) -> list[str]:
    """What axe has against a page, in both themes: the rule, the place, and why."""
    said = []
    for theme, options in (("light", rules), ("dark", COLOURS)):
        page.emulate_media(color_scheme=theme)
        page.evaluate("Promise.all(document.getAnimations().map(animation => animation.finish()))")
        said += [
            f"{what} ({theme}): {violation['id']} at {node['target']}: {node['failureSummary']}"
            for violation in Axe().run(page, options=options).response["violations"]
            for node in violation["nodes"]
        ]
    return said


def test_no_page_has_anything_that_axe_finds(
    live_web: Web, page: Page, staff: User, prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    said = []
    for path in DOORS:
        page.goto(f"{live_web.url}/{path}")
        said += found(page, path)
    page.goto(f"{live_web.url}/accounts/login/")
    page.get_by_label("Email").fill(staff.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    provider.enqueue(Script(text=ANSWER))
    write(page, "Why is the sky blue?")
    answer(page, "complete").wait_for()
    said += found(page, "a conversation")
    page.keyboard.press("Escape")
    page.locator("body").press("?")
    said += found(page, "the sheet of shortcuts")
    page.set_viewport_size({"width": 360, "height": 740})
    page.reload()
    said += found(page, "a conversation on a phone")
    page.set_viewport_size({"width": 1280, "height": 800})
    for path in ROOMS:
        response = page.goto(f"{live_web.url}/{path}")
        assert response is not None
        assert response.status == 200, path
        said += found(page, path or "a new chat")
    for path in DESKS:
        page.goto(f"{live_web.url}/admin/{path}")
        said += found(page, path, OURS)
    page.locator(".datetimeshortcuts a[id^=calendarlink]").first.click()
    said += found(page, "a calendar", OURS)
    assert not said, "\n".join(said)


def test_the_api_s_own_pages_are_as_dark_as_the_system(live_web: Web, page: Page) -> None:
    title = page.locator(".swagger-ui h1.title")
    lightness = {}
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.goto(f"{live_web.url}/api/docs/")
        title.wait_for()
        lightness[theme] = title.evaluate("title => Math.max(...getComputedStyle(title).color.match(/\\d+/g))")
    assert lightness["light"] < 128 < lightness["dark"]
