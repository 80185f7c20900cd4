"""The import page in a browser, with a worker beside it: the bar moves, and what came in can be read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from conversations.models import Conversation
from tests.services import Web, Worker
from tests.test_import_readers import chatgpt, node

pytestmark = pytest.mark.once("embedded")

Cookie = Callable[[User], tuple[str, str]]


@pytest.fixture
def opened(page: Page, live_web: Web, alice: User, session_cookie: Cookie) -> Page:
    """Alice's import page."""
    name, value = session_cookie(alice)
    page.context.add_cookies([{"name": name, "value": value, "url": live_web.url}])
    page.goto(f"{live_web.url}/import/")
    return page


def long_talk(number: int) -> dict[str, object]:
    code = "```python\n" + "print('hello', 1)\n" * 40 + "```\n\nand $x^2$"
    nodes = [node("0", None, "user", "Q")]
    nodes += [node(str(n), str(n - 1), "user" if n % 2 == 0 else "assistant", code) for n in range(1, 20)]
    return chatgpt(*nodes, conversation_id=f"long-{number}", title=f"Long talk {number}")


def test_a_large_file_moves_a_bar_until_it_is_there(
    opened: Page, tmp_path: Path, process_environment: dict[str, str]
) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", json.dumps([long_talk(number) for number in range(150)]))
    opened.evaluate(
        """() => {
          window.seen = [];
          const bar = () => document.querySelector("#runs progress");
          new MutationObserver(() => {
            if (bar()?.hasAttribute("value") && !bar().hidden && bar().max === 150) seen.push(bar().value);
          }).observe(document.getElementById("runs"), { subtree: true, attributes: true, childList: true });
        }"""
    )
    with Worker(process_environment, beat=False):
        opened.get_by_label("File to import").set_input_files(file)
        opened.get_by_role("button", name="Import", exact=True).click()
        expect(opened.locator("#runs [data-part=name]")).to_have_text("export.zip")
        expect(opened.locator("#runs [data-part=words]")).to_have_text("150 added", timeout=60_000)
    expect(opened.get_by_role("status")).to_have_text("150 added")
    values = opened.evaluate("seen")
    assert values == sorted(values)
    assert len(set(values) - {0, 150}) >= 1  # it stood between, too
    expect(opened.locator("#runs progress")).to_be_hidden()
    conversation = Conversation.objects.get(source_id="long-0")
    opened.goto(opened.url.replace("/import/", f"/c/{conversation.pk}/"))
    expect(opened.locator("figure.code").first).to_be_visible()
    expect(opened.locator("math").first).to_be_visible()


def test_a_broken_file_says_so_beside_the_field_and_a_good_one_follows(opened: Page, tmp_path: Path) -> None:
    broken, good = tmp_path / "broken.json", tmp_path / "good.json"
    broken.write_text("[")
    good.write_text(json.dumps([long_talk(1), {"title": "Odd <b>one</b>", "mapping": {}}]))
    field, button = opened.get_by_label("File to import"), opened.get_by_role("button", name="Import", exact=True)
    field.set_input_files(broken)
    button.click()
    expect(opened.locator("#file-error")).to_contain_text("breaks off in the middle")
    expect(field).to_have_accessible_description("The file breaks off in the middle, or is empty. Download it again.")
    field.set_input_files(good)
    button.click()
    expect(opened.locator("#runs [data-part=words]")).to_have_text("1 added, 1 skipped")
    expect(opened.locator("#file-error")).to_be_hidden()
    opened.get_by_text("Why some were skipped").click()
    expect(opened.locator("#runs details li")).to_contain_text("Odd <b>one</b>: It holds no message")
    time = opened.locator("#runs [data-part=time]").inner_text()
    opened.reload()
    expect(opened.locator("#runs [data-part=words]")).to_have_text("1 added, 1 skipped")
    expect(opened.locator("#runs [data-part=time]")).to_have_text(time)


def test_everything_can_be_taken_away_and_brought_back(opened: Page, alice: User, tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps([long_talk(1)]))
    opened.get_by_label("File to import").set_input_files(good)
    opened.get_by_role("button", name="Import", exact=True).click()
    expect(opened.locator("#runs [data-part=words]")).to_have_text("1 added")
    with opened.expect_download() as download:
        opened.get_by_role("link", name="Download all my data").click()
    archive = tmp_path / "all.zip"
    download.value.save_as(archive)
    Conversation.objects.of(alice).delete()
    opened.get_by_label("File to import").set_input_files(archive)
    opened.get_by_role("button", name="Import", exact=True).click()
    expect(opened.locator("#runs [data-part=name]").first).to_have_text("all.zip")
    expect(opened.locator("#runs [data-part=words]").first).to_have_text("1 added")
    assert Conversation.objects.of(alice).get().messages.count() == 20
