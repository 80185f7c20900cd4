"""A commit whose answer is lost with its connection: done all the same, and neither forgotten nor done twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from accounts.models import User
from billing.models import Price, UsageRecord
from conversations.models import Conversation
from tests import road
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.provider.client import only_row
from tests.services import Web
from tests.wire import Wire, wire_to_postgresql

pytestmark = pytest.mark.only("scaled")


@pytest.fixture
def database(process_environment: dict[str, str]) -> Iterator[tuple[Wire, str]]:
    wire, url = wire_to_postgresql(process_environment["DATABASE_URL"])
    with wire:
        yield wire, url


@pytest.fixture
def owner(database: tuple[Wire, str], start_web: Callable[..., Web], alice: User, prices: dict[str, Price]) -> Person:
    return Person(start_web(DATABASE_URL=database[1], CHAT_TITLES="true", CHAT_LEASE_SECONDS="60"), alice)


def check(owner: Person, conversation: str) -> None:
    """There is one question with its whole answer, paid once, in balance."""
    question, answer = owner.messages(conversation)
    assert (question["role"], answer["role"], answer["status"], answer["content"]) == (
        "user", "assistant", "complete", "Fine, thanks",
    )  # fmt: skip
    assert not UsageRecord.objects.exclude(state="settled").exists()
    assert road.differences() == []


def test_of_a_hold(owner: Person, database: tuple[Wire, str], provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    Conversation.objects.update(title="Mine", title_source="person")  # so that there is one call
    provider.enqueue(Script(text="Fine, thanks"))
    database[0].lose_answer("How are you?")
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "How are you?"}) as stream:
        seen = stream.until(lambda seen: seen.ended)
    assert database[0].lost.is_set()
    assert (seen.kinds[0], seen.kinds[-1], seen.text) == ("started", "done", "Fine, thanks")
    assert only_row(provider).outcome == "complete"
    check(owner, conversation)


def test_of_a_settling(owner: Person, database: tuple[Wire, str], provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    provider.enqueue(Script(text="Fine, thanks"), Script(text="Being well"))
    database[0].lose_answer("Fine, thanks")
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "How are you?"}) as stream:
        seen = stream.until(lambda seen: seen.ended)
    assert database[0].lost.is_set()
    assert (seen.kinds[-1], seen.last["usage"]["cost_usd"] > "0") == ("done", True)
    bill = provider.wait_until(lambda bill: len(bill.rows) == 2 and not bill.running)
    assert [row.outcome for row in bill.rows] == ["complete", "complete"], "it is told of, and its name is asked for"
    until = time.monotonic() + 30
    while Conversation.objects.get().title != "Being well" and time.monotonic() < until:
        time.sleep(0.05)
    assert Conversation.objects.get().title == "Being well"
    check(owner, conversation)
