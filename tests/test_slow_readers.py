"""A tab that is open and does not read: cut off before it costs memory, and whole again when it comes back."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from accounts.models import User
from conversations.models import Message
from tests.memory import Growth
from tests.people import Person
from tests.services import Web
from tests.tabs import PATIENCE, Socket
from tests.talks import make_conversation

pytestmark = pytest.mark.once("scaled")

LONG = "word " * 200_000


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def _ask_and_never_read(tab: Socket, reply: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        tab.tell(type="follow", message_id=reply, **{"from": 0})
        time.sleep(0.1)


def test_who_does_not_read_is_cut_off_and_catches_up_later(owner: Person, alice: User) -> None:
    conversation = make_conversation(alice, messages=2)
    Message.objects.filter(conversation=conversation, role="assistant").update(content=LONG)
    reply = str(conversation.messages.get(role="assistant").pk)
    with owner.socket(str(conversation.pk)) as stalled, owner.socket(str(conversation.pk)) as other:
        with pytest.raises(ConnectionClosed):
            _ask_and_never_read(stalled, reply)
        answer = owner.post(f"conversations/{conversation.pk}/messages/", {"content": "Hello"}).json()["message"]
        assert other.ended(answer["id"]).last["type"] == "done"
    with owner.socket(str(conversation.pk)) as back:
        back.tell(type="follow", message_id=reply, **{"from": 0})
        assert back.ended(reply).text == LONG


def test_a_file_is_read_no_faster_than_it_is_taken(start_web: Callable[..., Web], owner: Person, alice: User) -> None:
    megabytes = 60
    conversation = make_conversation(alice, messages=megabytes)
    conversation.messages.update(content="x" * 1_000_000)
    web = start_web()
    address = f"{web.url}/api/conversations/{conversation.pk}/export/"
    with httpx2.stream("GET", address, headers=owner.headers, timeout=PATIENCE) as response:
        growth = Growth(web.pid)
        time.sleep(3)
        assert growth.megabytes < megabytes / 2
        assert sum(map(len, response.iter_raw())) > megabytes * 1_000_000
