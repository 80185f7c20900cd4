"""A person who chooses German reads German, also what scripts say."""

from __future__ import annotations

import re

import pytest
from django.utils.translation.trans_real import DjangoTranslation
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("scaled")

SAID = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    if (!texts.currentNode.parentElement.closest("script,style")) found.push(texts.currentNode.data);
  }
  for (const place of document.querySelectorAll("[aria-label],[title],[placeholder]")) {
    found.push(place.ariaLabel, place.title, place.placeholder);
  }
  return found.filter(Boolean).map((text) => text.trim().replace(/\\s+/g, " "));
}"""


def english() -> set[str]:
    """What is said otherwise in German."""
    found: set[str] = set()
    for domain in ("django", "djangojs"):
        catalog = DjangoTranslation("de", domain=domain)._catalog  # type: ignore[attr-defined]
        entries = {key: catalog[key] for key in catalog.keys() if isinstance(key, str)}  # noqa: SIM118
        found |= {key for key, said in entries.items() if key and said != key and "%(" not in key}
    return found


def test_a_page_speaks_german_and_so_do_its_scripts(
    chat: Page, live_web: Web, alice: User, provider: ScriptedProvider
) -> None:
    chat.goto(f"{live_web.url}/accounts/profile/")
    chat.get_by_label("Language").select_option("de")
    chat.get_by_role("button", name="Save").click()
    expect(chat.get_by_text("Ihr Profil wurde gespeichert.")).to_be_visible()
    chat.goto(f"{live_web.url}/")
    assert chat.locator("html").get_attribute("lang") == "de"
    chat.set_viewport_size({"width": 360, "height": 740})
    box = chat.get_by_label("Nachricht", exact=True)
    box.fill("Warum ist der Himmel blau?")
    expect(chat.locator("#quote")).to_contain_text(re.compile(r"^Höchstens \$0\.\d{5} · \d+ Token ein$"))
    provider.enqueue(Script(text="Rayleigh", hold_after=1))
    chat.get_by_role("button", name="Senden").click()
    cost = chat.locator("article[data-role=assistant] .cost")
    expect(cost).to_contain_text(re.compile(r"^gpt-4o-mini · höchstens \$0\.\d{5} vorgemerkt$"))
    expect(chat.locator("#status")).to_have_text("Der Assistent schreibt.")
    provider.release()
    expect(cost).to_have_text(re.compile(r"^gpt-4o-mini · \d+ ein · \d+ aus · \$0\.\d{5}$"))
    expect(chat.locator("#status")).to_have_text("Die Antwort ist vollständig.")
    chat.get_by_role("button", name="Menü der Unterhaltung").click()
    expect(chat.get_by_role("menuitem", name="Umbenennen")).to_be_visible()
    chat.get_by_role("menuitem", name="Archivieren").click()
    expect(chat.locator("#toast")).to_contain_text(re.compile("^„.+“ "))
    assert chat.evaluate("document.documentElement.scrollWidth") <= 360
    assert not english() & set(chat.evaluate(SAID))
