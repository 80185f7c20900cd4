"""The people of a site, signed in, and things of alice's for their names in an address."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponseBase
from django.test import Client
from django.utils import timezone

from accounts.models import Token, User
from billing import runs
from billing.models import ExportRun, Reconciliation, UsageRecord
from chatproject.asgi import doors
from conversations.models import Conversation, ImportRun, Message
from tests.conftest import PASSWORD
from tests.test_admin import SECRET
from tests.watch import Watch

JANUARY = {"first": date(2020, 1, 1), "last": date(2020, 1, 31)}
THINGS = (
    "conversation", "deleted", "message", "token", "session", "run", "comparison", "import", "passkey",
    "confirmation", "record", "user", "superuser",
)  # fmt: skip


class World:
    """The people, signed in, and things of alice's, each made when an address names it first."""

    def __init__(self, people: dict[str, User | None], watch: Watch) -> None:
        self.people, self.watch = people, watch
        self._client = Client(raise_request_exception=False)  # one for all: each of them reads the static files anew
        self._cookies = {name: self._enter(user) for name, user in people.items()}
        self._made: dict[str, Any] = {}
        watch.changed()

    @property
    def owner(self) -> User:
        found = self.people["user"]
        assert found is not None
        return found

    def _enter(self, user: User | None) -> SimpleCookie:
        """By the page itself, and having shown again that it is them; the cookies that this gives."""
        client = self._client
        client.cookies = SimpleCookie()
        cache.clear()  # no limit on how often this is done
        if user is not None:
            client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
            assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
            client.get("/accounts/email/")  # notes the address
        return client.cookies

    def ask(self, person: str, method: str, path: str, sent: str) -> tuple[HttpResponseBase, set[str]]:
        """What is answered, and which tables it changed; whoever it signed out is signed in again."""
        data: Any = dict(parse_qsl(sent))
        if method in ("GET", "HEAD", "OPTIONS"):
            path, body, kind = f"{path}?{sent}", "", ""
        elif path.startswith("/api/"):
            body, kind = json.dumps(data), "application/json"
        else:
            body, kind = sent, "application/x-www-form-urlencoded"
        self._client.cookies = self._cookies[person]
        answer = self._client.generic(method, path, body, kind)
        changed = self.watch.changed()
        if settings.SESSION_COOKIE_NAME in answer.cookies:
            self._cookies[person] = self._enter(self.people[person])
            self.watch.changed()
        cache.clear()
        return answer, changed

    async def knock(self, person: str, path: str) -> str:
        """Whether a WebSocket stays open for somebody who says nothing that it knows, or how it is closed."""
        cookies = "; ".join(f"{name}={found.value}" for name, found in self._cookies[person].items())
        headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookies.encode())]
        socket = WebsocketCommunicator(doors, path, headers=headers)
        if not (await socket.connect())[0]:
            return "none"
        await socket.send_to(text_data="nothing")
        while (said := await socket.receive_output())["type"] != "websocket.close":
            if json.loads(said["text"]).get("error", {}).get("code") not in ("not_authenticated", "not_found"):
                await socket.disconnect()
                return "open"
        return str(said["code"])

    def fill(self, text: str) -> str:
        """With the ids of things for their names in braces."""
        for name in THINGS:
            if f"{{{name}}}" in text:
                self._made[name] = self._made.get(name) or getattr(self, f"_make_{name}")()
                text = text.replace(f"{{{name}}}", str(self._made[name]))
                self.watch.changed()
        return text

    def clear(self) -> None:
        """What an address names next is made anew; a passkey goes, since who has one must show it at the door."""
        if "passkey" in self._made:
            Authenticator.objects.filter(user=self.owner).delete()
        if "session" in self._made:
            self._cookies["user"] = self._enter(self.owner)
        self._made.clear()
        self.watch.changed()

    def _make_conversation(self, **fields: Any) -> Any:
        now = timezone.now()
        made = Conversation.objects.create(user=self.owner, title=SECRET, created_at=now, updated_at=now, **fields)
        asked = Message.objects.create(conversation=made, depth=0, role="user", content=SECRET, created_at=now)
        self._made["message"] = Message.objects.create(
            conversation=made, parent=asked, depth=1, role="assistant", content=SECRET, created_at=now, ended_at=now
        ).pk
        return made.pk

    def _make_deleted(self) -> Any:
        return self._make_conversation(deleted_at=timezone.now())

    def _make_message(self) -> Any:
        self._make_conversation()
        return self._made["message"]

    def _make_token(self) -> Any:
        return Token.issue(user=self.owner)[0].pk

    def _make_session(self) -> Any:
        return UserSession.objects.filter(user=self.owner).latest("pk").pk

    def _make_run(self) -> Any:
        now = timezone.now()
        (runs.folder() / "there.csv").write_bytes(b"spend_date\r\n")
        return ExportRun.objects.create(
            user=self.people["finance"], format="csv", state="done", created_at=now, started_at=now, ended_at=now,
            file_name="there.csv", size=12, done=0, of=0, rows=0, cost=0, sha256="0" * 64,
            expires_at=datetime.max.replace(tzinfo=UTC), **JANUARY,
        ).pk  # fmt: skip

    def _make_comparison(self) -> Any:
        made = Reconciliation.objects.create(
            started_at=timezone.now(), by=self.owner, by_name="A", files=[], report={"differences": []}, **JANUARY
        )
        made.proposals.create(difference=0, day=JANUARY["first"], act="adjust", sentence="Book it.", amount=2_000_000)
        return made.pk

    def _make_import(self) -> Any:
        now = timezone.now()
        return ImportRun.objects.create(
            user=self.owner, file_name=SECRET, size=1, state="done", created_at=now, finished_at=now
        ).pk

    def _make_passkey(self) -> Any:
        data = {"name": "Key", "credential": {}}
        return Authenticator.objects.create(user=self.owner, type=Authenticator.Type.WEBAUTHN, data=data).pk

    def _make_confirmation(self) -> Any:
        return EmailConfirmationHMAC(EmailAddress.objects.get(user=self.owner)).key

    def _make_record(self) -> Any:
        return UsageRecord.objects.exclude(settled_at=None).latest("pk").pk

    def _make_user(self) -> Any:
        return self.owner.pk

    def _make_superuser(self) -> Any:
        return User.objects.get(is_superuser=True).pk
