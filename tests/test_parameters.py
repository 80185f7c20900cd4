"""What stands beside a body: an address's parameters and headers, and what the answer's headers say."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from accounts.models import User
from conversations.models import Conversation
from tests.people import Person

LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
FAR = "9999-12-31T23:59:59-23:59"


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def allowance(response: httpx2.Response) -> tuple[int, int]:
    """What is allowed, and what is left of it."""
    limit, left, reset = (int(response.headers[name]) for name in LIMITS)
    assert 0 < reset <= 3600
    return limit, left


def wrong(response: httpx2.Response, name: str) -> bool:
    error = response.json()["error"]
    return (response.status_code, error["code"], list(error["fields"])) == (400, "invalid_request", [name])


def test_ids_in_capitals_are_the_same_ids(owner: Person) -> None:
    conversation = owner.new_conversation(title="Mine")
    assert owner.get(f"conversations/{conversation.upper()}/").json()["id"] == conversation
    with owner.socket(conversation.upper()) as tab:
        tab.tell(type="send", content="Hello")
        assert tab.next()["message"]["conversation"] == conversation
    assert Conversation.objects.get().messages.exists()
