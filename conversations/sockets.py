"""What every WebSocket here does: see who opens it and from where, run its work in tasks, end them with it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import translation
from django.utils.http import is_same_domain
from django.utils.translation import gettext as _

from accounts import language
from accounts.errors import Fault, NotAuthenticated, Refusal, envelope, translate
from accounts.models import User
from accounts.requests import begin_request
from conversations import events, metrics, slow_readers
from conversations.pool import in_database
from conversations.visitors import Visitor, signed_out

logger = logging.getLogger(__name__)

CLOSE = 4000  # plus the HTTP status of a refusal: the code of a close, after an error event that says it in words


class SocketConsumer(AsyncWebsocketConsumer, ABC):
    """Base of the sockets: a tab, or a program.

    Handlers only start tasks: Channels awaits them in turn, and a long one would keep the next waiting.
    """

    channel_layer_alias = ""  # none: feeds listen for it, and a channel of its own would wait for nothing
    user: User
    token_id: int | None  # the personal token that opened it; None where a session did

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As Channels', but what was begun for the socket ends with it, however that is.

        The server cancels who has not ended ten seconds after the tab has gone: then nobody calls `disconnect`.
        """
        self._tasks: set[asyncio.Task[None]] = set()
        self._entering: asyncio.Task[None] | None = None  # as long as it is not known who it is
        self._waiting_in_line = asyncio.Lock()  # for that: woken turns later, they would be overtaken by who comes then
        self._counted = self._gone = False
        try:
            await super().__call__(scope, receive, send)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._counted:
                metrics.SOCKETS.dec()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels', without its visit to the one thread that all sockets share: no handler uses the database."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        """Accept, and see who it is.

        The language is the socket's own: its tasks inherit it, and no other socket's can see it.
        """
        headers = self.headers()
        begin_request()
        accept = headers.get("accept-language", b"").decode("latin-1")
        translation.activate(language.asked_for(cookies=self.scope.get("cookies", {}), accept=accept))
        self._visitor = Visitor(authorization=headers.get("authorization", b""), cookies=self.scope.get("cookies", {}))
        if not origin_fits(headers, token_sent=self._visitor.by_token):
            await self.close()
            return
        await self.accept()
        self._entering = self.start(self._enter())

    async def _enter(self) -> None:
        """Let whoever may come in listen; say in words why not."""
        try:
            found = await in_database(self._visitor.find)
            if found is None:
                raise NotAuthenticated(_("Sign in, or send a valid personal token."))
            user, token_id = found
            await self.admit(user)
        except Exception as error:
            await self.end(refusal_of(error))
            return
        self.user, self.token_id = user, token_id
        self._entering, self._counted = None, True
        metrics.SOCKETS.inc()
        slow_readers.watch()
        self.start(self._hear())

    async def _hear(self) -> None:
        """Relay; where that fails, say so and close: one that hears nothing any more must not look as if it did."""
        try:
            await self.relay()
        except Exception as error:
            await self.end(refusal_of(error))

    async def entered(self) -> None:
        """Wait until it is known who it is; where they may not come in, it is gone then.

        Who waits goes on in the order in which they came.
        """
        async with self._waiting_in_line:
            if self._entering is not None:
                await asyncio.wait([self._entering])

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
        if not self._gone and not await in_database(self._visitor.is_still, self.user):
            await self.part()
        return not self._gone

    async def part(self) -> None:
        """Say that whoever opened it may no longer, and close. Safe to repeat."""
        await self.end(signed_out())

    async def end(self, refusal: Refusal) -> None:
        """Say no to the socket as a whole, and close it. Safe to repeat."""
        if not self._gone:
            self._gone = True
            await super().send(text_data=events.refusal(envelope(refusal)["error"]).data)
            await self.close(CLOSE + refusal.status)

    async def send(  # type: ignore[override]  # Channels' own signature, one class up
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
    ) -> None:
        """Tell; but whoever was signed out meanwhile hears nothing from `LOOK_AGAIN_SECONDS` later on at the latest."""
        if hasattr(self, "user"):
            try:
                await self._visitor.check(self.user)
            except NotAuthenticated:
                await self.part()
        if not self._gone:
            await super().send(text_data=text_data, bytes_data=bytes_data, close=close)

    async def refuse(self, refusal: Refusal, *, key: str | None = None) -> None:
        """Say no; to the command with that key, where it had one."""
        await self.send(text_data=events.refusal(envelope(refusal)["error"], key=key).data)


def refusal_of(error: Exception) -> Refusal:
    """What is said of an error; the log has more where it is a fault."""
    refusal = translate(error)
    if refusal is None:
        logger.error("a socket's work failed", exc_info=error)
        refusal = Fault(_("Something went wrong here. Try again."))
    return refusal


def origin_fits(headers: dict[str, bytes], *, token_sent: bool) -> bool:
    """Whether a socket may be opened from where the browser says it is: from this site, or a trusted one.

    A program that sends a token needs no Origin: a token, unlike a cookie, is not sent by itself.
    """
    origin = headers.get("origin", b"").decode("latin-1")
    if not origin:
        return token_sent
    place = urlsplit(origin)
    same = place.netloc == headers.get("host", b"").decode("latin-1")
    if (same and place.scheme in ("http", "https")) or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    domains = [trusted for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS) if "*" in trusted.netloc]
    return any(  # as Django looks at the Origin of a form
        place.scheme == domain.scheme and is_same_domain(place.netloc, domain.netloc.lstrip("*")) for domain in domains
    )
