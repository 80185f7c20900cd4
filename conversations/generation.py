"""Generate: the task that writes one reply, from the provider's stream to the log to the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.requests import current_request_id
from conversations import events, frames, hints, log, metrics, provider, settling, titles
from conversations.events import Event
from conversations.leases import Owner
from conversations.models import Message
from conversations.pool import in_database, insist
from conversations.rendered import Rendered, slow
from conversations.settling import Ending, tell_end

logger = logging.getLogger(__name__)

LONGEST_REPLY_SECONDS = 900.0  # a provider that trickles on beyond this is given up
LAST_FLUSH_SECONDS = 2.0  # a log that is away longer does not keep a reply from being settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be written: a held reply, with its usage record and its conversation, and its call."""

    message: Message
    request: provider.Request


class Writer:
    """Writes one reply. Only its owner's event loop touches it.

    Made while the reply is being held, it makes the call ready meanwhile; nothing of it leaves before `start`.
    """

    def __init__(self, order: Order, owner: Owner, clock: Callable[[], datetime] = timezone.now) -> None:
        self.message_id: UUID = order.message.pk
        self._order = order
        self._owner = owner
        self._clock = clock
        self._home = log.home()
        self._parts: list[str] = []  # all the text so far
        self._pending: list[str] = []  # the end of it, not yet in the log
        self._logged = 0  # the log's end, in characters
        self._rendered = Rendered()
        self._news = asyncio.Event()
        self._read_all = asyncio.Event()
        self._cleared = asyncio.Event()
        self._departure = provider.Departure(cleared=self._cleared)
        self._called = 0.0  # when the call was let go, by the monotonic clock
        self._stream: provider.Stream | None = None
        self._stopped = False
        self._interrupted = False
        self._lost = False
        self._reading = asyncio.create_task(self._read())

    def start(self, started: Event) -> asyncio.Task[None]:
        """Let the call go, since the reply is committed, and tell whoever listens that it has `started`.

        The task ends when the reply has.
        """
        self._called = time.monotonic()
        self._cleared.set()
        task = asyncio.create_task(self._write(self._reading, asyncio.create_task(self._log(started))))
        metrics.RUNNING.inc()
        task.add_done_callback(lambda _: metrics.RUNNING.dec())
        self._owner.add(self)
        return task

    def drop(self) -> None:
        """The reply is not held after all, or not like this: its call is never made."""
        self._reading.cancel()

    def stop(self) -> None:
        """Close the upstream connection and end the reply with the text that it has."""
        self._stopped = True
        self._reading.cancel()

    def interrupt(self) -> None:
        """As `stop`, but because this process ends: nobody asked for it."""
        self._interrupted = True
        self._reading.cancel()

    def lose(self) -> None:
        """Someone else has ended the reply: write nothing more."""
        self._lost = True
        self._reading.cancel()

    async def _write(self, reading: asyncio.Task[Ending], logging_: asyncio.Task[None]) -> None:
        try:
            with frames.counted():
                ending = await self._ending(reading)
            self._read_all.set()
            self._news.set()
            await asyncio.wait([logging_], timeout=LAST_FLUSH_SECONDS)
            if not self._lost:
                html = await self._rendered.whole(length=len(ending.text)) if logging_.done() else None
                await self._settle(replace(ending, html=html))
        except Exception:
            # The lease runs out, and the reply is ended as interrupted with what the log has.
            logger.exception("a reply could not be ended: %s", self.message_id)
        finally:
            logging_.cancel()
            self._owner.remove(self.message_id)

    async def _ending(self, reading: asyncio.Task[Ending]) -> Ending:
        try:
            return await reading
        except asyncio.CancelledError:
            if not (self._stopped or self._interrupted or self._lost):
                raise
            status = Message.Status.STOPPED if self._stopped else Message.Status.INTERRUPTED
            return Ending(status=status, text=self._text(), billed=self._departure.left, **self._told())

    async def _read(self) -> Ending:
        """The provider's whole answer; how it ended."""
        try:
            call = provider.stream(self._order.request, self._departure)
            async with asyncio.timeout(LONGEST_REPLY_SECONDS), call as stream:
                self._stream = stream
                async for text in stream:
                    if not self._parts:
                        metrics.FIRST_DELTA.observe(time.monotonic() - self._called)
                    self._parts.append(text)
                    self._pending.append(text)
                    self._news.set()
        except TimeoutError:
            late = provider.ProviderTimeout(_("The answer took too long and was ended."), billed=self._departure.left)
            return self._failed(late)
        except provider.ProviderError as error:
            return self._failed(error)
        except Exception:
            logger.exception("a reply failed: %s", self.message_id)
            return self._failed(provider.ProviderError(_("The answer could not be read. Try again.")))
        return Ending(
            status=Message.Status.COMPLETE,
            text=self._text(),
            finish_reason=stream.finish_reason,
            **self._told(),
        )

    def _told(self) -> dict[str, Any]:
        """What the provider has said of the call beside its text."""
        return {"usage": self._stream.usage, "request_id": self._stream.request_id} if self._stream else {}

    def _failed(self, error: provider.ProviderError) -> Ending:
        return Ending(
            status=Message.Status.FAILED,
            text=self._text(),
            error={**error.as_stored(), "status": error.status, "request_id": current_request_id()},
            billed=error.billed and self._departure.left,
            **({"request_id": error.request_id} | self._told()),
        )

    async def _log(self, started: Event) -> None:
        """Put what has come into the log and tell of it, as it comes: it is read a frame at a time."""
        told = hints.Telling(self._order.message.conversation_id, started)
        await insist(self._home.open, self.message_id, telling=told)
        while not (self._read_all.is_set() and not self._pending):
            await self._news.wait()
            self._news.clear()
            await self._flush()

    async def _flush(self) -> None:
        content, self._pending = "".join(self._pending), []
        if not content:
            return
        piece = log.Delta(start=self._logged, end=self._logged + len(content), content=content)
        finished = await self._rendered.cut(content)
        later = slow(finished)
        blocks = [] if later else await self._rendered.render(finished)
        told = hints.Telling(self._order.message.conversation_id, events.delta(self.message_id, piece, blocks=blocks))
        if not await insist(self._home.append, self.message_id, piece, writer=self._owner.id, telling=told):
            if not await self._mend(piece.end):
                self.lose()
                return
            await told.send()
        self._logged = piece.end
        if later and (blocks := await self._rendered.render(finished)):
            await hints.announce_event(self._order.message.conversation_id, events.blocks(self.message_id, blocks))

    async def _mend(self, end: int) -> bool:
        """The log is not as we left it: write it anew where the lease is still ours; False where it is not."""
        running = Message.objects.generating().filter(pk=self.message_id, lease_owner=self._owner.id)
        if not await insist(in_database, running.exists):
            return False
        whole = log.Delta(start=0, end=end, content=self._text()[:end])
        return await insist(self._home.rewrite, self.message_id, whole, writer=self._owner.id)

    async def _settle(self, ending: Ending) -> None:
        ended = await insist(
            in_database,
            settling.end,
            message=self._order.message,
            owner=self._owner.id,
            ending=ending,
            now=self._clock(),
        )
        if ended is not None:
            await tell_end(ended)
            titles.begin(ended.message, clock=self._clock)

    def _text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""
