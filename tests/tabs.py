"""What one tab of a person sees: a reply's events, over server-sent events or a WebSocket, real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Self

import httpx2
from websockets.sync.client import ClientConnection, connect

from tests.services import Web

PATIENCE = 30.0  # seconds; what takes longer never comes
ENDS = ("done", "error")


class Seen:
    """What one tab shows of one reply. A gap or a repetition in its events is an AssertionError."""

    def __init__(self, text: str = "", end: int = 0) -> None:
        self.text = text
        self.end = end
        self.events: list[dict[str, Any]] = []

    def take(self, event: dict[str, Any]) -> None:
        """Show an event."""
        assert not self.ended, f"{event} came after the end"
        self.events.append(event)
        if event["type"] == "delta":
            assert event["start"] == self.end, f"shown to {self.end}, and then came {event}"
            assert event["end"] > event["start"]
            self.text += event["content"]
            self.end = event["end"]

    @property
    def kinds(self) -> list[str]:
        """The events' types, deltas in a row as one."""
        types = [event["type"] for event in self.events]
        return [kind for place, kind in enumerate(types) if kind != "delta" or types[place - 1 : place] != ["delta"]]

    @property
    def last(self) -> dict[str, Any]:
        """The newest event."""
        return self.events[-1]

    @property
    def ended(self) -> bool:
        """Whether the reply has."""
        return bool(self.events) and self.last["type"] in ENDS

    @property
    def started(self) -> dict[str, Any]:
        """The event of that type; StopIteration where none came."""
        return next(event for event in self.events if event["type"] == "started")


class EventStream:
    """Server-sent events as they come."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.ids: list[str] = []
        self.comments = 0
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The events' objects; their ids gather in `ids`, and comments are counted."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                event = json.loads(fields["data"])
                assert event["type"] == fields["event"]
                if event["type"] != "block":
                    self.ids.append(fields["id"])
                fields = {}
                yield event

    def until(self, true: Callable[[Seen], Any], seen: Seen | None = None) -> Seen:
        """Read until something is true of what was seen; AssertionError where the stream ends before."""
        seen = seen or Seen()
        for event in self:
            seen.take(event)
            if true(seen):
                return seen
        raise AssertionError(f"the stream ended with {seen.events[-1:]}")

    @property
    def rest(self) -> list[dict[str, Any]]:
        """What comes until the server closes the stream."""
        return list(self)


class Socket:
    """One tab's WebSocket."""

    def __init__(
        self,
        web: Web,
        conversation: str,
        *,
        headers: Mapping[str, str] | None = None,
        origin: str | None = None,
        query: str = "",
    ) -> None:
        address = f"{web.url.replace('http', 'ws', 1)}/ws/conversations/{conversation}/{query}"
        self._open = ExitStack()
        opening = connect(
            address, origin=origin, additional_headers=headers, proxy=None, open_timeout=PATIENCE, max_size=None
        )
        self.connection: ClientConnection = self._open.enter_context(opening)
        self.seen: dict[str, Seen] = {}  # by message

    def tell(self, **frame: Any) -> None:
        """Send a frame."""
        self.connection.send(json.dumps(frame))

    def next(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next event; it is also shown under its reply. TimeoutError, ConnectionClosed."""
        event: dict[str, Any] = json.loads(self.connection.recv(timeout=timeout))
        message_id = event.get("message_id") or event.get("message", {}).get("id")
        if event["type"] == "started":
            self.seen[message_id] = Seen()
        if message_id is not None:
            self.seen.setdefault(message_id, Seen()).take(event)
        return event

    def until(self, true: Callable[[dict[str, Any]], Any], timeout: float = PATIENCE) -> dict[str, Any]:
        """The first event of which something is true."""
        while True:
            event = self.next(timeout)
            if true(event):
                return event

    def ended(self, message_id: str) -> Seen:
        """All that this tab shows of a reply, once it has ended."""
        while not (message_id in self.seen and self.seen[message_id].ended):
            self.next()
        return self.seen[message_id]

    def refused(self) -> dict[str, Any]:
        """The error of the next frame that says no to a command."""
        error: dict[str, Any] = self.until(lambda event: event["type"] == "error" and event["message_id"] is None)
        return dict(error["error"])

    def close(self) -> None:
        """Close the tab."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tab:
    """A page's own WebSocket, on which it hears what changes elsewhere; a context manager."""

    def __init__(self, web: Web, *, headers: Mapping[str, str], origin: str | None) -> None:
        self._open = ExitStack()
        address = f"{web.url.replace('http', 'ws', 1)}/ws/me/"
        opening = connect(address, origin=origin, additional_headers=headers, proxy=None, open_timeout=PATIENCE)
        self.connection: ClientConnection = self._open.enter_context(opening)

    def next(self) -> dict[str, Any]:
        """The next event. TimeoutError, ConnectionClosed."""
        event: dict[str, Any] = json.loads(self.connection.recv(timeout=PATIENCE))
        return event

    def until(self, true: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first event of which something is true."""
        while True:
            event = self.next()
            if true(event):
                return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
