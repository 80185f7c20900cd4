"""`make screenshots`: the pictures in docs/screenshots/, taken from the running product.

Starts the product with an empty SQLite database and the scripted provider, writes a conversation
through the page as a person would, and takes the pictures in Debian's chromium.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from deploy.local import debian
from tests.provider.script import Script
from tests.provider.server import ScriptedProvider
from tests.services import Web

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "screenshots"
PASSWORD = "correct horse battery staple"  # noqa: S105 (of a database that is gone when this ends)
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


def manage(environment: dict[str, str], *command: str) -> None:
    """Run one of manage.py's commands."""
    subprocess.run([sys.executable, "manage.py", *command], env=environment, cwd=ROOT, check=True, capture_output=True)


def take(page: Page, url: str) -> None:
    """Write the conversation and take every picture."""
    page.goto(f"{url}/accounts/login/")
    page.locator("input[name=login]").fill("user@example.com")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Message", exact=True).fill(QUESTION)
    page.get_by_role("button", name="Send").click()
    page.locator("article[data-role=assistant][data-status=complete]").wait_for()
    page.wait_for_timeout(500)
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=FOLDER / "chat-light.png")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=FOLDER / "chat-dark.png")
    page.set_viewport_size({"width": 360, "height": 740})
    page.screenshot(path=FOLDER / "chat-phone.png")


def main() -> None:
    """Start everything, take the pictures, end everything."""
    with ScriptedProvider() as provider, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        provider.set_default(Script(text=ANSWER))
        environment = {
            **os.environ,
            "VAR_DIR": folder,
            "OPENAI_BASE_URL": provider.base_url,
            "OPENAI_API_KEY": "sk-scripted",
        }
        for command in (("migrate",), ("sync_prices",), ("seed_demo", "--password", PASSWORD)):
            manage(environment, *command)
        manage(environment, "collectstatic", "--noinput")
        browser = playwright.chromium.launch(executable_path=debian.chromium(), args=["--no-sandbox", "--disable-gpu"])
        with Web(1, environment) as web:
            take(browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light"), web.url)
        browser.close()


if __name__ == "__main__":
    main()
