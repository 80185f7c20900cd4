"""The account's pages on a phone, without JavaScript, and with the keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from accounts import sessions
from accounts.models import Token, User
from tests.browser.acting import text, write
from tests.conftest import PASSWORD
from tests.provider import Script, ScriptedProvider
from tests.services import Web

PAGES = {
    "Profile": "profile", "E-mail": "email", "Password": "password/change", "Two factors and passkeys": "2fa",
    "Sessions": "sessions", "Your data": "data", "Delete account": "delete", "API tokens": "tokens",
}  # fmt: skip


def test_everything_but_keys_works_on_a_phone_without_scripts(live_web: Web, browser: Browser, alice: User) -> None:
    with browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{live_web.url}/accounts/")
        page.get_by_label("Email").fill(alice.email)
        page.get_by_label("Password").press_sequentially(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Profile")
        for name, path in PAGES.items():
            page.get_by_role("link", name=name, exact=True).first.press("Enter")
            page.wait_for_url(f"**/accounts/{path}/")
            expect(page.get_by_role("navigation", name="Settings").locator("[aria-current=page]")).to_have_text(name)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        page.get_by_label("What is it for?").fill("Nightly report")
        page.keyboard.press("Enter")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        shown = page.get_by_label("The token")
        assert shown.evaluate("box => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight")
        secret = shown.input_value()
        assert Token.objects.get().digest == Token.hash(secret)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("button", name="Revoke Nightly report").press("Enter")
        expect(page.get_by_role("status")).to_contain_text("“Nightly report” is revoked")
        expect(page.get_by_role("button", name="Revoke Nightly report")).to_have_count(0)


def test_a_tab_goes_on_when_another_signs_everyone_else_out(
    chat: Page, provider: ScriptedProvider, alice: User
) -> None:
    provider.enqueue(Script(text="One"), Script(text="Two"))
    write(chat, "Hello there")
    expect(text(chat)).to_have_text("One")
    beside = chat.context.new_page()
    beside.goto(f"{chat.url.partition('/c/')[0]}/accounts/sessions/")
    with beside.expect_navigation():
        beside.get_by_role("button", name="Sign out everywhere else").click()
    write(chat, "And again")
    expect(text(chat)).to_have_text("Two")
    expect(chat.locator("#link")).to_be_hidden()
    sessions.end_all(alice)
    write(chat, "Once more")
    expect(chat.locator("#link")).to_have_text("You were signed out. Reload the page to sign in.")
    assert chat.get_by_label("Message", exact=True).input_value() == "Once more"
    assert len(provider.requests) == 2
