"""The socket of a person's pages: what changes in one tab shows in the others, and in nobody else's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts.models import User
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.tabs import Tab


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def heard(tab: Tab, count: int) -> list[tuple[str, Any]]:
    """The next events: type, and what happened."""
    events = [tab.next() for _ in range(count)]
    return [(event["type"], event.get("change") or event.get("status")) for event in events]


def test_everything_that_changes_is_told(owner: Person, provider: ScriptedProvider) -> None:
    with owner.tabs() as tab, owner.tabs() as second:
        conversation = owner.new_conversation()
        made = tab.next()
        assert made["conversation"] == owner.get(f"conversations/{conversation}/").json()
        path = f"/api/conversations/{conversation}/"
        answer = owner.post(f"conversations/{conversation}/messages/", {"content": "Hello"}).json()["message"]
        started, ended, budget = (tab.next() for _ in range(3))
        assert (started["type"], started["status"], started["message_id"]) == ("reply", "generating", answer["id"])
        assert started["conversation"]["title"] == "Hello"
        assert (ended["type"], ended["status"], ended["message_id"]) == ("reply", "complete", answer["id"])
        assert budget["type"] == "budget"
        assert set(budget["budget"]) == {"remaining_usd", "limit_usd", "period", "resets_at"}
        owner.http.patch(path, json={"title": "Trip", "pinned": True})
        changed = tab.next()
        assert (changed["change"], changed["conversation"]["title"]) == ("changed", "Trip")
        owner.http.patch(path, json={"archived": True})
        owner.post(f"messages/{answer['id']}/select/")
        owner.http.delete(path)
        owner.post(f"conversations/{conversation}/restore/")
        assert heard(tab, 4) == [
            ("conversation", "changed"), ("branch", None), ("conversation", "deleted"), ("conversation", "restored"),
        ]  # fmt: skip
        assert heard(second, 9)[-1] == ("conversation", "restored")


def test_nobody_else_hears_it(owner: Person, enter: Callable[..., Person], bob: User) -> None:
    with enter(bob).tabs() as tab:
        owner.new_conversation(title="Mine")
        enter(bob).new_conversation(title="Bob's")
        assert tab.next()["conversation"]["title"] == "Bob's"


def test_a_temporary_chat_is_told_to_nobody(owner: Person, provider: ScriptedProvider) -> None:
    with owner.tabs() as tab:
        conversation = owner.new_conversation(temporary=True)
        owner.post(f"conversations/{conversation}/messages/", {"content": "Secret"})
        owner.http.delete(f"/api/conversations/{conversation}/")
        owner.new_conversation(title="Shown")
        assert heard(tab, 2) == [("budget", None), ("conversation", "created")]


@pytest.mark.only("scaled")  # without Redis there is one web process
def test_what_another_process_does_is_told_too(
    owner: Person, start_web: Callable[..., Web], provider: ScriptedProvider
) -> None:
    conversation = owner.new_conversation()
    provider.enqueue(Script(text="From the other side"))
    with owner.tabs() as tab:
        owner.at(start_web()).post(f"conversations/{conversation}/messages/", {"content": "Hello"})
        assert heard(tab, 3) == [("reply", "generating"), ("reply", "complete"), ("budget", None)]


def test_who_may_open_it(owner: Person, live_web: Web, session_cookie: Callable[..., Any], alice: User) -> None:
    with Tab(live_web, headers={}, origin=live_web.url) as tab:
        assert tab.next()["error"]["code"] == "not_authenticated"
        with pytest.raises(ConnectionClosed) as closed:
            tab.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
    name, value = session_cookie(alice)
    with Tab(live_web, headers={"Cookie": f"{name}={value}"}, origin=live_web.url) as tab:
        assert tab.next() == {"type": "listening"}
        tab.connection.send("whatever")
        owner.new_conversation(title=str(uuid.uuid4()))
        assert tab.next()["type"] == "conversation"
    for origin in ("https://elsewhere.example", "null", None):
        with pytest.raises(InvalidStatus):
            Tab(live_web, headers={"Cookie": f"{name}={value}"}, origin=origin)
