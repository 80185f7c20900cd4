"""`make screenshots`: the pictures in docs/screenshots/, taken from the running product.

Starts the product with an empty SQLite database and the scripted provider, writes conversations
through the page as a person would, and takes the pictures in Debian's chromium.
"""

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from deploy.local import debian
from tests.provider.script import Script
from tests.provider.server import ScriptedProvider
from tests.services import Web

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("SCREENSHOTS") or ROOT / "docs" / "screenshots")
PASSWORD = "correct horse battery staple"
QUESTION = "Our nightly invoice import sometimes runs twice and then rows double. How do I make it safe to repeat?"
ANSWER = """Give every line an identity that comes **from the data**, not from the run. Then a second run finds its \
own rows already there and adds nothing.

1. Load the file into `staging_line` as it is, in its own transaction.
2. Put a unique index on the natural key.
3. Copy across and compare the count with the file's trailer.

```sql
CREATE UNIQUE INDEX invoice_line_once
    ON invoice_line (supplier_id, invoice_no, line_no);

INSERT INTO invoice_line (supplier_id, invoice_no, line_no, amount_cents)
SELECT supplier_id, invoice_no, line_no, amount_cents
FROM   staging_line
ON CONFLICT (supplier_id, invoice_no, line_no) DO NOTHING;  -- a second run adds 0 rows
```

| Way | Safe when two runs overlap |
|---|---|
| Unique key, `DO NOTHING` | Yes, the index decides |
| Look first, then insert | No, both may look before either writes |
"""
FORMULA_QUESTION = "The supplier's API answers 429 at month end. How long should the job wait between tries?"
FORMULA = """Draw the wait at random between zero and a ceiling that doubles:

$$w_n = \\max(r, U_n), \\qquad U_n \\sim [0, \\min(c, b \\cdot 2^n)]$$

with base $b$, cap $c$, the server's wish $r$ and attempt number $n$. Randomness matters more than the exact numbers.
"""
DRAFT = "Now three lines for the runbook: when to repeat it, what to do on 429, whom to call."
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 360, "height": 740}}
DONE = "article[data-role=assistant][data-status=complete]"


def manage(environment: dict[str, str], *command: str) -> None:
    """Run one of manage.py's commands."""
    subprocess.run([sys.executable, "manage.py", *command], env=environment, cwd=ROOT, check=True, capture_output=True)


def sign_in(page: Page, url: str, email: str = "user@example.com") -> None:
    """Open the page as a person of the demonstration."""
    page.goto(f"{url}/accounts/login/")
    page.locator("input[name=login]").fill(email)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{url}/")


def send(page: Page, words: str, answers: int) -> None:
    """Write a message and wait until there are so many whole answers."""
    page.get_by_label("Message", exact=True).fill(words)
    page.get_by_role("button", name="Send").click()
    page.locator(DONE).nth(answers - 1).wait_for()


def shoot(page: Page, name: str) -> None:
    """Take one picture in both themes, once what moves has come to rest."""
    size = "-phone" if page.viewport_size == SIZES["phone"] else ""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_timeout(400)
        page.screenshot(path=FOLDER / f"{name}{size}-{scheme}.png")


def talk(page: Page, provider: ScriptedProvider) -> None:
    """Make the conversation that the pictures show, and take those on the way."""
    shoot(page, "new")
    provider.enqueue(Script(text=ANSWER))
    send(page, QUESTION, 1)
    page.evaluate("window.scrollTo(0, 0)")
    shoot(page, "chat")
    provider.enqueue(Script(text="Wait a while, and longer each time."))
    send(page, FORMULA_QUESTION, 2)
    provider.enqueue(Script(text=FORMULA))
    page.get_by_role("button", name="Answer again").last.click()
    page.get_by_role("menuitem", name="Again with Smart").click()
    page.locator(".branch").wait_for()
    page.locator(f"{DONE} math").first.wait_for()
    shoot(page, "formula-branch")
    page.get_by_label("Message", exact=True).fill(DRAFT)
    page.wait_for_timeout(1000)
    shoot(page, "quote")
    page.get_by_role("button", name="Conversation menu").click()
    shoot(page, "menu")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Edit question").last.click()
    shoot(page, "edit")
    page.keyboard.press("Escape")


def stream(page: Page, provider: ScriptedProvider) -> None:
    """Take a picture in the middle of an answer."""
    provider.enqueue(Script(text=ANSWER, hold_after=60))
    page.get_by_role("button", name="Send").click()
    page.locator(".open").filter(has_text="unique index").wait_for()
    shoot(page, "streaming")
    provider.release()
    page.locator(DONE).nth(2).wait_for()


def account(page: Page, url: str) -> None:
    """Take pictures of one's own spending and of the account."""
    for name, path in (("usage", "usage/"), ("account", "accounts/2fa/"), ("tokens", "accounts/tokens/")):
        page.goto(f"{url}/{path}")
        shoot(page, name)


def find(page: Page) -> None:
    """Take a picture of what a search finds."""
    opener = page.get_by_role("button", name="Conversations", exact=True)
    if opener.is_visible():
        opener.click()
    page.get_by_role("searchbox").fill("staging")
    page.get_by_role("searchbox").press("Enter")
    page.locator(".found mark").first.wait_for()
    shoot(page, "search")


def limit(environment: dict[str, str], nano: str) -> None:
    """Set the person's daily limit, in nano-dollars."""
    words = "from billing import limiting; from accounts.models import User; "
    words += f"limiting.set_limit(user=User.objects.get(email='user@example.com'), period='day', limit={nano})"
    manage(environment, "shell", "-c", words)


def overdraw(page: Page, url: str, environment: dict[str, str]) -> None:
    """Take a picture of a message that is over the budget."""
    limit(environment, "100_000")
    page.goto(f"{url}/")
    page.get_by_label("Message", exact=True).fill(DRAFT)
    page.get_by_role("button", name="Send").click()
    page.locator("#note").wait_for()
    shoot(page, "over-budget")
    limit(environment, "None")


def office(browser: Browser, url: str, environment: dict[str, str]) -> None:
    """Take the pictures of what staff and finance see, over two months of a company's calls."""
    manage(environment, "seed_demo", "--months", "2")
    manage(environment, "rollup_spend")
    last = datetime.now(UTC).date().replace(day=1) - timedelta(days=1)
    month = f"from={last.replace(day=1)}&to={last}"
    for size, viewport in SIZES.items():
        for email, pages in (
            ("staff@example.com", {"dashboard": "/admin/", "users": "/admin/accounts/user/"}),
            (
                "finance@example.com",
                {
                    "reports": f"/reports/?{month}&group_by=user",
                    "runs": f"/reports/?{month}#download",
                    "close-month": f"/reports/close/{last:%Y-%m}/",
                },
            ),
        ):
            with browser.new_context(
                viewport=viewport, has_touch=size == "phone", is_mobile=size == "phone"
            ) as context:
                page = context.new_page()
                sign_in(page, url, email)
                for name, address in pages.items():
                    page.goto(url + address)
                    shoot(page, name)
                    if name == "reports" and size == "desktop":
                        with page.expect_download():
                            page.get_by_role("link", name="CSV", exact=True).click()


def take(browser: Browser, url: str, provider: ScriptedProvider, environment: dict[str, str]) -> None:
    """Take every picture, on a desk and on a phone."""
    for size, viewport in SIZES.items():
        with browser.new_context(viewport=viewport, has_touch=size == "phone", is_mobile=size == "phone") as context:
            page = context.new_page()
            sign_in(page, url)
            talk(page, provider)
            stream(page, provider)
            find(page)
            account(page, url)
            overdraw(page, url, environment)


def main() -> None:
    """Start everything, take the pictures of the parts that are named (`chat`, `office`) or of all, end everything."""
    parts = sys.argv[1:] or ["chat", "office"]
    with ScriptedProvider() as provider, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        environment = {
            **os.environ,
            "VAR_DIR": folder,
            "OPENAI_BASE_URL": provider.base_url,
            "OPENAI_API_KEY": "sk-scripted",
            "CHAT_TITLES": "false",
        }
        for command in (("migrate",), ("sync_prices",), ("seed_demo", "--password", PASSWORD)):
            manage(environment, *command)
        manage(environment, "collectstatic", "--noinput")
        browser = playwright.chromium.launch(executable_path=debian.chromium(), args=["--no-sandbox", "--disable-gpu"])
        with Web(1, environment) as web:
            if "chat" in parts:
                take(browser, web.url, provider, environment)
            if "office" in parts:
                office(browser, web.url, environment)
        browser.close()


if __name__ == "__main__":
    main()
