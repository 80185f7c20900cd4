"""Who stands before the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page

from tests.services import Web

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models import Price


@pytest.fixture
def chat(live_web: Web, page: Page, alice: User, prices: dict[str, Price], session_cookie: Any) -> Page:
    """Alice, signed in, before an empty new chat."""
    name, value = session_cookie(alice)
    page.context.add_cookies([{"name": name, "value": value, "url": live_web.url}])
    page.goto(f"{live_web.url}/")
    return page
