"""What stands beside a body: an address's parameters and headers, and what the answer's headers say."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from accounts.models import User
from billing.models import Price
from conversations.models import Conversation
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

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


def test_every_answer_to_a_message_or_a_quote_says_how_many_more_there_may_be(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    rates = {"CHAT_RATE": "9/h", "CHAT_RATE_SMART": "1/h", "CHAT_RATE_QUOTE": "7/h"}
    owner = Person(start_web(CHAT_REPLIES_AT_ONCE="1", **rates), alice)
    running, other = (f"conversations/{owner.new_conversation()}/messages/" for _ in range(2))
    assert [allowance(owner.post("quote/", {"content": "x"})) for _ in range(2)] == [(7, 6), (7, 5)]
    asked = {"json": {"content": "Hello", "tier": "smart"}, "headers": {"Idempotency-Key": "k"}}
    provider.enqueue(Script(text="One two three", hold_after=1))
    with owner.stream("POST", running, **asked) as stream:
        stream.until(lambda seen: seen.text == "One")
        assert allowance(stream.response) == (1, 0)
        at_once = [owner.post(other, {"content": "x", **tier}) for tier in ({}, {}, {"tier": "smart"})]
        assert [(each.status_code, each.headers["Retry-After"]) for each in at_once] == [(429, "5")] * 3
        assert [allowance(each) for each in at_once] == [(9, 8), (9, 8), (1, 0)]  # none of them was counted
        with owner.stream("POST", running, **asked) as again:
            assert allowance(again.response) == (1, 0)
        provider.release()
    for _ in range(2):
        repeated = owner.http.post(f"/api/{running}", **asked)
        assert (repeated.status_code, allowance(repeated)) == (200, (1, 0))
    assert allowance(owner.post(other, {"content": "x"})) == (9, 7)


def test_ids_in_capitals_are_the_same_ids(owner: Person) -> None:
    conversation = owner.new_conversation(title="Mine")
    assert owner.get(f"conversations/{conversation.upper()}/").json()["id"] == conversation
    with owner.socket(conversation.upper()) as tab:
        tab.tell(type="send", content="Hello")
        assert tab.next()["message"]["conversation"] == conversation
    assert Conversation.objects.get().messages.exists()
