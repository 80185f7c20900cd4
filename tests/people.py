"""A person with the running product in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from accounts.models import Token, User
from tests.services import Web
from tests.tabs import PATIENCE, EventStream, Seen, Socket, Tab


class Person:
    """Someone who uses a web process, by a personal token unless a session cookie is given."""

    def __init__(self, web: Web, user: User, *, cookie: tuple[str, str] | None = None) -> None:
        self.web = web
        self.headers: dict[str, str] = {}
        self.http = httpx2.Client(base_url=web.url, timeout=PATIENCE, trust_env=False)
        if cookie is None:
            self.headers["Authorization"] = f"Bearer {Token.issue(user=user)[1]}"
        else:
            self.http.cookies.set(*cookie)
            self.http.get("/").raise_for_status()  # a page, which brings the token that writing asks for
            self.headers["X-CSRFToken"] = self.http.cookies["csrftoken"]
        self.http.headers.update(self.headers)

    def at(self, web: Web) -> Person:
        """The same person in front of another process."""
        other = object.__new__(Person)
        other.web, other.headers = web, self.headers
        other.http = httpx2.Client(
            base_url=web.url, timeout=PATIENCE, trust_env=False, headers=self.headers, cookies=self.http.cookies
        )
        return other

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """GET of an address below /api/."""
        return self.http.get(f"/api/{path}", **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        """POST of JSON to an address below /api/."""
        return self.http.post(f"/api/{path}", json={} if body is None else body, **options)

    def new_conversation(self, **fields: Any) -> str:
        """Make a conversation; its id."""
        response = self.post("conversations/", fields)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def messages(self, conversation: str) -> list[dict[str, Any]]:
        """The first page of a conversation's current branch."""
        results: list[dict[str, Any]] = self.get(f"conversations/{conversation}/messages/").json()["results"]
        return results

    def reply(self, conversation: str) -> dict[str, Any]:
        """The newest message of a conversation."""
        return self.messages(conversation)[-1]

    def stop(self, message_id: str) -> httpx2.Response:
        """Press Stop by REST."""
        return self.post(f"messages/{message_id}/stop/")

    @contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[EventStream]:
        """An event stream; leaving the block closes the connection."""
        headers = {"Accept": "text/event-stream", **options.pop("headers", {})}
        with self.http.stream(method, f"/api/{path}", headers=headers, **options) as response:
            yield EventStream(response)

    def follow(self, message_id: str, *, start: int | None = None, last: str | None = None) -> Seen:
        """Follow a reply by SSE to its end, from `?from=` or `Last-Event-ID`."""
        query = {} if start is None else {"params": {"from": start}}
        headers = {} if last is None else {"headers": {"Last-Event-ID": last}}
        with self.stream("GET", f"messages/{message_id}/events/", **query, **headers) as stream:
            assert stream.response.status_code == 200, stream.response.status_code
            seen = Seen(end=start or int((last or "0").partition("+")[0]))
            stream.until(lambda _: seen.ended, seen)
            return seen

    def tabs(self) -> Tab:
        """The WebSocket on which a page hears what changes elsewhere; it listens already."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        headers = {**self.headers, **({"Cookie": cookies} if cookies else {})}
        tab = Tab(self.web, headers=headers, origin=self.web.url)
        assert tab.next() == {"type": "listening"}
        return tab

    def socket(self, conversation: str, **options: Any) -> Socket:
        """A tab's WebSocket; a browser would send the site's own Origin."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        headers = {**self.headers, **({"Cookie": cookies} if cookies else {})}
        return Socket(self.web, conversation, headers=headers, **{"origin": self.web.url, **options})
