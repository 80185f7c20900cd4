"""Draining: how a web process ends at SIGTERM without breaking a reply.

It listens no more, so whoever stands in front asks another process; it takes no new replies; its
WebSockets are told to reconnect, a few at a time, and go on elsewhere from the log. Requests under way
and the replies that it writes are finished. What is not finished after CHAT_DRAIN_SECONDS ends as
interrupted, with the text that it has, settled, and told to everyone who follows it. Then the server's own
handler of the signal ends the process. A second signal does so at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar

from django.conf import settings
from django.utils.translation import gettext as _
from twisted.internet.error import ConnectionDone
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from accounts.errors import Refusal
from conversations import leases

logger = logging.getLogger(__name__)

RESTARTING = 4503  # close code of WebSockets, as the HTTP status; Daphne sends none of the registered ones
SOCKET_SECONDS = 0.005  # between two sockets told so: all at once would storm the other processes
LATE_SECONDS = 1.0  # in which what had come in before the signal may still begin
SETTLE_SECONDS = 5.0  # for the endings of what was interrupted
ANSWER_SECONDS = 2.0  # for requests to be answered to their last byte, at least
LOOK_SECONDS = 0.05
MOST_WAITING = 1000  # connections that are let in before the port is closed
RETRY_AFTER = 2  # seconds

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class Restarting(Refusal):
    """This process is about to end; another one, or this one in a moment, takes the message."""

    code, status = "provider_unavailable", 503


def check() -> None:
    """Raise Restarting where this process takes no new replies."""
    if Drain.refuses:
        raise Restarting(
            _("This server is being restarted. Send it again in a moment; nothing was charged."),
            retry_after=RETRY_AFTER,
        )


class Drain:
    """An ASGI application around another, which sees what is open and, at SIGTERM, ends it in order.

    `busy`: whether replies are begun or written here, or conversations named.
    """

    refuses: ClassVar[bool] = False

    def __init__(self, application: Application, *, busy: Callable[[], bool]) -> None:
        self._application = application
        self._busy = busy
        self._sockets: dict[object, Send] = {}
        self._requests = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: Any = None  # the handler of the signal that the server set
        self._begun = False
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass on a connection, and remember it while it lasts."""
        self._install()
        if scope["type"] == "websocket":
            key = object()
            self._sockets[key] = send
            try:
                await self._application(scope, receive, send)
            finally:
                del self._sockets[key]
            return
        self._requests += 1
        try:
            await self._application(scope, receive, send)
        finally:
            self._requests -= 1

    def _install(self) -> None:
        """Take the signal from the server, at the first connection: before it there is nothing to finish."""
        if self._loop is not None or threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        self._before = signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._begun or self._loop is None:
            self._end()
        else:
            self._begun = True
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        logger.info("ending: no new replies, %s sockets, %s requests", len(self._sockets), self._requests)
        limit = asyncio.get_running_loop().time() + settings.CHAT_DRAIN_SECONDS
        try:
            _stop_listening()
            closing = asyncio.create_task(self._close_sockets())
            await _until(lambda: not self._requests and not self._sockets, LATE_SECONDS)
            Drain.refuses = True
            if not await _until(lambda: not self._busy(), settings.CHAT_DRAIN_SECONDS):
                writing = leases.owner().writing
                logger.warning("ending: %s replies are interrupted", len(writing))
                for one in writing:
                    one.interrupt()
                await _until(lambda: not self._busy(), SETTLE_SECONDS)
            await closing
            rest = limit - asyncio.get_running_loop().time()
            await _until(lambda: self._requests == 0, max(rest, ANSWER_SECONDS))
        except Exception:
            logger.exception("ending in disorder")
        finally:
            self._end()

    async def _close_sockets(self) -> None:
        pause = min(SOCKET_SECONDS, settings.CHAT_DRAIN_SECONDS / 5 / max(1, len(self._sockets)))
        for send in list(self._sockets.values()):
            with suppress(Exception):  # one that is gone by itself
                await send({"type": "websocket.close", "code": RESTARTING})
            await asyncio.sleep(pause)

    def _end(self) -> None:
        """Do what the server would have done at the signal."""
        if callable(self._before):
            self._before(signal.SIGTERM, None)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


async def _until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is true, for so long at most; whether it is."""
    until = asyncio.get_running_loop().time() + seconds
    while not (reached := true()) and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(LOOK_SECONDS)
    return reached


def _stop_listening() -> None:
    """Close the ports on which Daphne listens; a new connection is refused from then on.

    First, whoever is in the queue already is let in: closing a port cuts them off in mid-request.
    """
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    for reader in reactor.getReaders() if reactor else ():
        if isinstance(reader, Port):
            reader.numberAccepts = MOST_WAITING
            reader.stopReading()  # type: ignore[no-untyped-call]
            reader.doRead()  # type: ignore[no-untyped-call]
            # At once: `stopListening` closes in a later turn of the loop, and cuts off who comes in between.
            reader.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]
