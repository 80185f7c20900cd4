"""Who stands before the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page

from tests.services import Web

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models import Price


@pytest.fixture
def enter(page: Page, alice: User, prices: dict[str, Price], session_cookie: Any) -> Callable[[str], Page]:
    """Puts Alice, signed in, before an empty new chat of the product at an address."""

    def enter(address: str) -> Page:
        name, value = session_cookie(alice)
        page.context.add_cookies([{"name": name, "value": value, "url": address}])
        page.goto(f"{address}/")
        return page

    return enter


@pytest.fixture
def chat(live_web: Web, enter: Callable[[str], Page]) -> Page:
    """Alice, signed in, before an empty new chat."""
    return enter(live_web.url)
