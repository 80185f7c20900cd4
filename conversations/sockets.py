"""What every WebSocket here does: see who opens it and from where, run its work in tasks, end them with it."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts import language
from accounts.authentication import bearer_secret, token_of
from accounts.errors import AWAY, NotAuthenticated, Refusal, envelope
from accounts.models import User
from accounts.requests import begin_request
from conversations import events, metrics, slow_readers
from conversations.pool import in_database

NOT_AUTHENTICATED, NOT_FOUND = 4401, 4404  # close codes, after an error event that says it in words
LOOK_AGAIN_SECONDS = 10.0  # after which a socket that is told something is asked again who it is


class SocketConsumer(AsyncWebsocketConsumer, ABC):
    """Base of the sockets: a tab, or a program.

    Handlers only start tasks: Channels awaits them in turn, and a long one would keep the next waiting.
    """

    channel_layer_alias = ""  # none: feeds listen for it, and a channel of its own would wait for nothing
    user: User
    token_id: int | None  # the personal token that opened it; None where a session did

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels', without its visit to the one thread that all sockets share: no handler uses the database."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        """Accept whoever may come in; say in words why not.

        The language is the socket's own: its tasks inherit it, and no other socket's can see it.
        """
        self._tasks: set[asyncio.Task[None]] = set()
        headers = self.headers()
        begin_request()
        accept = headers.get("accept-language", b"").decode("latin-1")
        translation.activate(language.asked_for(cookies=self.scope.get("cookies", {}), accept=accept))
        self._secret = bearer_secret(headers.get("authorization", b""))
        self._gone, self._looked = False, time.monotonic()
        if not origin_fits(headers, token_sent=self._secret is not None):
            await self.close()
            return
        await self.accept()
        try:
            visitor = await in_database(_visitor, self._secret, self.scope.get("cookies", {}))
            if visitor is None:
                raise NotAuthenticated(_("Sign in, or send a valid personal token."))
            user, token_id = visitor
            await self.admit(user)
        except Refusal as refusal:
            await self.refuse(refusal)
            await self.close(NOT_AUTHENTICATED if isinstance(refusal, NotAuthenticated) else NOT_FOUND)
            return
        self.user, self.token_id = user, token_id
        metrics.SOCKETS.inc()
        slow_readers.watch()
        self.start(self.relay())

    async def disconnect(self, code: int) -> None:
        """The tab is gone; what it began goes on."""
        for task in self._tasks:
            task.cancel()
        if hasattr(self, "user"):
            metrics.SOCKETS.dec()

    def headers(self) -> dict[str, bytes]:
        """The request's headers by their names in lower case; not kept, for a socket is open for hours."""
        return {name.decode("latin-1").lower(): value for name, value in self.scope["headers"]}

    async def admit(self, user: User) -> None:
        """Let a user in, or raise a Refusal."""

    @abstractmethod
    async def relay(self) -> None:
        """Pass on what there is to hear, for as long as the socket is open."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that ends with the socket at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def may_stay(self) -> bool:
        """Whether who opened it may still: signed in, with a token that holds. Where not, says so and closes."""
        if not self._gone and not await in_database(self.still):
            await self.part()
        return not self._gone

    def still(self) -> bool:
        """What `may_stay` asks the database; for a thread that is in it anyway."""
        self._looked = time.monotonic()
        found = _visitor(self._secret, self.scope.get("cookies", {}))
        return found is not None and found[0] == self.user

    async def part(self) -> None:
        """Say that whoever opened it may no longer, and close. Safe to repeat."""
        if not self._gone:
            self._gone = True
            gone = NotAuthenticated(_("You were signed out, or the token holds no longer. Sign in again."))
            await super().send(text_data=events.refusal(envelope(gone)["error"]).data)
            await self.close(NOT_AUTHENTICATED)

    async def send(  # type: ignore[override]  # Channels' own signature, one class up
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
    ) -> None:
        """Tell; but whoever was signed out meanwhile hears nothing from `LOOK_AGAIN_SECONDS` later on at the latest."""
        if hasattr(self, "user") and time.monotonic() - self._looked >= LOOK_AGAIN_SECONDS:
            with suppress(*AWAY):  # what is told must arrive: it looks again with the next one
                await self.may_stay()
        if not self._gone:
            await super().send(text_data=text_data, bytes_data=bytes_data, close=close)

    async def refuse(self, refusal: Refusal, *, key: str | None = None) -> None:
        """Say no; to the command with that key, where it had one."""
        await self.send(text_data=events.refusal(envelope(refusal)["error"], key=key).data)


def origin_fits(headers: dict[str, bytes], *, token_sent: bool) -> bool:
    """Whether a socket may be opened from where the browser says it is: from this site, or a trusted one.

    A program that sends a token needs no Origin: a token, unlike a cookie, is not sent by itself.
    """
    origin = headers.get("origin", b"").decode("latin-1")
    if not origin:
        return token_sent
    same = urlsplit(origin).netloc == headers.get("host", b"").decode("latin-1")
    return (same and urlsplit(origin).scheme in ("http", "https")) or origin in settings.CSRF_TRUSTED_ORIGINS


def _visitor(secret: str | None, cookies: dict[str, str]) -> tuple[User, int | None] | None:
    """Who opens the socket, by token, whose id comes too, or by session."""
    if secret is not None:
        token = token_of(secret=secret, now=timezone.now())
        return None if token is None else (token.user, token.pk)
    request = HttpRequest()
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    request.session = store(cookies.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    return (user, None) if isinstance(user, User) and user.is_active else None
