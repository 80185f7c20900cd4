"""What every WebSocket here does: see who opens it and from where, run its work in tasks, end them with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.authentication import bearer_secret, user_of_token
from accounts.errors import NotAuthenticated, Refusal, envelope
from accounts.models import User
from accounts.requests import begin_request
from conversations import events, metrics, slow_readers
from conversations.pool import in_database

NOT_AUTHENTICATED, NOT_FOUND = 4401, 4404  # close codes, after an error event that says it in words


class SocketConsumer(AsyncWebsocketConsumer):
    """Base of the sockets: a tab, or a program.

    Handlers only start tasks: Channels awaits them in turn, and a long one would keep the next waiting.
    """

    user: User

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels', without its visit to the one thread that all sockets share: no handler uses the database."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        """Accept whoever may come in; say in words why not."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.headers = {name.decode("latin-1").lower(): value for name, value in self.scope["headers"]}
        begin_request()
        secret = bearer_secret(self.headers.get("authorization", b""))
        if not origin_fits(self.headers, token_sent=secret is not None):
            await self.close()
            return
        await self.accept()
        try:
            user = await in_database(_user_of, secret, self.scope.get("cookies", {}))
            if user is None:
                raise NotAuthenticated("Sign in, or send a valid personal token.")
            await self.admit(user)
        except Refusal as refusal:
            await self.refuse(refusal)
            await self.close(NOT_AUTHENTICATED if isinstance(refusal, NotAuthenticated) else NOT_FOUND)
            return
        self.user = user
        metrics.SOCKETS.inc()
        slow_readers.watch()
        self.start(self.relay())

    async def disconnect(self, code: int) -> None:
        """The tab is gone; what it began goes on."""
        for task in self._tasks:
            task.cancel()
        if hasattr(self, "user"):
            metrics.SOCKETS.dec()

    async def admit(self, user: User) -> None:
        """Let a user in, or raise a Refusal."""

    async def relay(self) -> None:
        """Pass on what there is to hear, for as long as the socket is open."""
        raise NotImplementedError

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that ends with the socket at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

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


def _user_of(secret: str | None, cookies: dict[str, str]) -> User | None:
    """Who opens the socket, by token or by session."""
    if secret is not None:
        return user_of_token(secret=secret, now=timezone.now())
    request = HttpRequest()
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    request.session = store(cookies.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None
