"""A passkey in a real browser, with the authenticator that its developers' tools bring."""

from __future__ import annotations

import pytest
from playwright.sync_api import CDPSession, Page, expect

from accounts.models import User
from tests.conftest import PASSWORD
from tests.services import Web

pytestmark = pytest.mark.once("embedded")

KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def authenticator(page: Page) -> CDPSession:
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
    return tools


def test_a_passkey_is_added_and_signs_in_alone(
    live_web: Web, page: Page, alice: User, authenticator: CDPSession
) -> None:
    site = live_web.url.replace("127.0.0.1", "localhost")  # a passkey belongs to a name, not to an address
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    page.goto(f"{site}/accounts/login/?next=/accounts/2fa/webauthn/add/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The key was not used.")
    page.get_by_label("Email").fill(alice.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("1 key is added.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()

    page.goto(f"{site}/accounts/login/?next=/accounts/2fa/webauthn/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Laptop")).to_contain_text("passkey")
    expect(page.get_by_text("last used")).to_be_visible()
    assert complaints == [], "nothing is against the content security policy"
