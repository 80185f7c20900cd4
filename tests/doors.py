"""The three doors through which a person sends, each with the same interface.

Real sockets to a real process: REST with a waiting answer, REST with an event stream, and WebSocket.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import httpx2

from tests.people import Person
from tests.tabs import Seen


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a send ended, the same from every door. `code`: the answer's status, or the code of the error."""

    code: str
    text: str = ""
    message: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    status: int = 0

    @classmethod
    def of_answer(cls, response: httpx2.Response) -> Outcome:
        """From a whole HTTP answer."""
        body = response.json()
        if "error" in body:
            return cls(code=body["error"]["code"], error=body["error"], status=response.status_code)
        message = body["message"]
        return cls(code=message["status"], text=message["content"], status=response.status_code, **body)

    @classmethod
    def of_events(cls, seen: Seen, status: int = 0) -> Outcome:
        """From a reply's events, the last of which has come."""
        last = seen.last
        if last["type"] == "error":
            return cls(code=last["error"]["code"], text=seen.text, error=last["error"], status=status)
        return cls(
            code=last["message"]["status"], text=seen.text, message=last["message"], usage=last["usage"],
            budget=last["budget"], context=seen.started["context"], status=status,
        )  # fmt: skip


class Door(ABC):
    """One way to send in one conversation, ready to be used at once; a context manager."""

    name: ClassVar[str]

    def __init__(self, person: Person, conversation: str) -> None:
        self.person = person
        self.path = f"conversations/{conversation}/messages/"

    @abstractmethod
    def send(self, content: str, key: str | None = None, tier: str | None = None) -> Outcome:
        """Send, and wait until the answer has ended or the send is refused."""

    def close(self) -> None:  # noqa: B027  # only a socket stays open
        """Leave."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def _request(content: str, key: str | None, tier: str | None) -> dict[str, Any]:
        body = {"content": content, **({"tier": tier} if tier else {})}
        return {"json": body, "headers": {"Idempotency-Key": key} if key else {}}


class JsonDoor(Door):
    """POST, and wait for the whole answer."""

    name = "json"

    def send(self, content: str, key: str | None = None, tier: str | None = None) -> Outcome:
        return Outcome.of_answer(self.person.http.post(f"/api/{self.path}", **self._request(content, key, tier)))


class StreamDoor(Door):
    """POST, and read the event stream to its end."""

    name = "stream"

    def send(self, content: str, key: str | None = None, tier: str | None = None) -> Outcome:
        with self.person.stream("POST", self.path, **self._request(content, key, tier)) as stream:
            if stream.response.headers["Content-Type"] != "text/event-stream":
                stream.response.read()
                return Outcome.of_answer(stream.response)
            seen = stream.until(lambda seen: seen.ended)
            assert stream.rest == []
            return Outcome.of_events(seen, stream.response.status_code)


class SocketDoor(Door):
    """A tab's WebSocket."""

    name = "socket"

    def __init__(self, person: Person, conversation: str) -> None:
        super().__init__(person, conversation)
        self.socket = person.socket(conversation)

    def send(self, content: str, key: str | None = None, tier: str | None = None) -> Outcome:
        self.socket.tell(type="send", content=content, **{"key": key} if key else {}, **{"tier": tier} if tier else {})
        event = self.socket.until(lambda event: _answers(event, content))
        if event["type"] == "error":
            return Outcome(code=event["error"]["code"], error=event["error"])
        return Outcome.of_events(self.socket.ended(event["message"]["id"]))

    def close(self) -> None:
        self.socket.close()


def _answers(event: dict[str, Any], content: str) -> bool:
    """Whether it is the beginning of the reply to a message, or a refusal; every tab sees the replies of others too."""
    if event["type"] == "error":
        return event["message_id"] is None
    return event["type"] == "started" and event["user_message"]["content"] == content


DOORS: dict[str, type[Door]] = {door.name: door for door in (JsonDoor, StreamDoor, SocketDoor)}
