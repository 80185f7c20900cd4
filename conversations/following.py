"""Follow a reply from any offset, in any process, until it has ended.

A hint whose delta starts where the follower is, is passed on without a read; anything else, and
silence, sends the follower to the log. So a lost hint costs a moment, and no text is lost or comes twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from accounts.errors import AWAY
from conversations import events, hints, log, recovery, settling
from conversations.events import Event
from conversations.log import Delta
from conversations.models import Message
from conversations.pool import AWAY_SECONDS, in_database

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 3.0  # after which a follower looks for itself
BEYOND = 2**31 - 1  # an offset that no text reaches: whoever follows from it sees only the end


class Follower:
    """Where one subscriber stands in one reply."""

    def __init__(self, message_id: UUID, end: int, clock: Callable[[], datetime] = timezone.now) -> None:
        self.message_id = message_id
        self.end = end
        self.finished = False
        self._clock = clock

    async def on(self, event: Event) -> list[Event]:
        """What a hint of this reply makes the subscriber see."""
        if self.finished or event.kind == "started":
            return []
        if event.kind != "delta":
            if event.end != self.end:
                return await self.catch_up()
            self.finished = event.closes
            return [event]
        if event.start == self.end:
            self.end = event.end
            return [event]
        return [] if event.end <= self.end else await self.catch_up()

    async def catch_up(self) -> list[Event]:
        """What has come since: text, and the end if there is one. Ends a reply whose owner is gone."""
        found: list[Event] = []
        if self.finished:
            return found
        self._take(await log.home().read(self.message_id, self.end), found)
        try:
            await self._look_for_end(found)
        except AWAY:
            if not found:
                raise
            # What was read is passed on; the next look goes on from there.
        return found

    async def _look_for_end(self, found: list[Event]) -> None:
        message = await in_database(Message.objects.defer("html").filter(pk=self.message_id).first)
        if message is not None and not message.ended and self._abandoned(message):
            await recovery.recover(self.message_id, now=self._clock())
            message = await in_database(Message.objects.defer("html").filter(pk=self.message_id).first)
        if message is None:
            self.finished = True
            return
        if message.ended:
            rest = message.content[self.end :]
            if rest:
                self._take(Delta(start=self.end, end=len(message.content), content=rest), found)
            found += await in_database(settling.closing, self.message_id, now=self._clock())
            self.finished = True

    def _abandoned(self, message: Message) -> bool:
        return message.lease_expires_at is not None and message.lease_expires_at < self._clock()

    def _take(self, piece: Delta | None, found: list[Event]) -> None:
        if piece is not None:
            found.append(events.delta(self.message_id, piece))
            self.end = piece.end


async def follow(message: Message, *, start: int) -> AsyncIterator[Event | None]:
    """The events of one reply from an offset on, the last one being its end; None for each silence."""
    follower = Follower(message.pk, start)
    while not follower.finished:
        try:
            async with hints.Feed(hints.group_of(message.conversation_id)) as feed:
                async for event in _followed(follower, feed):
                    yield event
        except AWAY as error:
            logger.warning("a follower waits: %s", type(error).__name__)
            yield None
            await asyncio.sleep(AWAY_SECONDS)


async def _followed(follower: Follower, feed: hints.Feed) -> AsyncIterator[Event | None]:
    for event in await follower.catch_up():
        yield event
    while not follower.finished:
        hint = await feed.event(timeout=SILENCE_SECONDS)
        if hint is None:
            yield None
            found = await follower.catch_up()
        elif hint.message_id != str(follower.message_id):
            continue
        else:
            found = await follower.on(hint)
        for event in found:
            yield event
