"""Follow a reply from any offset, in any process, until it has ended.

A hint whose delta starts where the follower is, is passed on without a read; anything else, and
silence, sends the follower to the log. So a lost hint costs a moment, and no text is lost or comes twice.

Blocks are made by whoever writes the reply and come with its hints. What a follower has missed of them it
makes itself: they follow from the text alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from accounts.errors import AWAY
from conversations import events, hints, log, recovery, settling
from conversations.blocks import finished
from conversations.events import Event
from conversations.leases import overdue
from conversations.log import Delta
from conversations.models import Message
from conversations.pool import AWAY_SECONDS, in_database, in_thread

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 3.0  # after which a follower looks for itself
BEYOND = 2**31 - 1  # an offset that no text reaches: whoever follows from it sees only the end


class Follower:
    """Where one subscriber stands in one reply: the `end` of its text, and of the last block where they want those."""

    def __init__(
        self, message_id: UUID, end: int, *, blocks: int | None = None, clock: Callable[[], datetime] = timezone.now
    ) -> None:
        self.message_id = message_id
        self.end = end
        self.finished = False
        self._blocks = blocks
        self._clock = clock

    async def on(self, event: Event) -> list[Event]:
        """What a hint of this reply makes the subscriber see."""
        if self.finished or event.kind == "started":
            return []
        blocks = self._new(event.blocks)
        if self._missed(event) or (blocks and blocks[0].start != self._blocks):
            found = await self.catch_up()
            if blocks and self._blocks is not None and self._blocks < blocks[-1].end:
                self._blocks = None  # where no block of this reply ends: there is nothing to go on from
            return found
        found = [] if event.kind == "blocks" or (event.kind == "delta" and event.end <= self.end) else [event]
        self.end = max(self.end, event.end)
        self.finished = event.closes
        if blocks:
            self._blocks = blocks[-1].end
        return [*found, *blocks]

    def _missed(self, event: Event) -> bool:
        """Whether a hint tells that there is text which has not been seen; at the end also whether it is another."""
        if event.kind == "delta":
            return event.start != self.end < event.end
        return event.end > self.end if event.kind == "blocks" else event.end != self.end

    def _new(self, blocks: Sequence[Event]) -> list[Event]:
        place = self._blocks
        return [] if place is None else [block for block in blocks if block.end > place]

    async def catch_up(self) -> list[Event]:
        """What has come since: text, blocks, and the end if there is one. Ends a reply whose owner is gone."""
        found: list[Event] = []
        if self.finished:
            return found
        seen = self.end if self._blocks is None else min(self.end, self._blocks)
        piece = await log.home().read(self.message_id, seen)
        if piece is not None:
            self._take(piece, found)
            await self._render(piece, found)
        try:
            await self._look_for_end(found)
        except AWAY:
            if not found:
                raise
            # What was read is passed on; the next look goes on from there.
        return found

    async def _look_for_end(self, found: list[Event]) -> None:
        message = await in_database(Message.objects.defer("html").filter(pk=self.message_id).first)
        if message is not None and not message.ended and self._neglected(message):
            await recovery.recover(self.message_id, now=self._clock())
            message = await in_database(Message.objects.defer("html").filter(pk=self.message_id).first)
        if message is None:
            self.finished = True
            return
        if message.ended:
            self._take(Delta(start=0, end=len(message.content), content=message.content), found)
            found += await in_database(settling.closing, self.message_id, now=self._clock())
            self.finished = True

    def _neglected(self, message: Message) -> bool:
        return message.lease_expires_at is not None and message.lease_expires_at < self._clock() + overdue()

    def _take(self, piece: Delta, found: list[Event]) -> None:
        """Pass on what of a piece is new."""
        if piece.end > self.end:
            rest = Delta(start=self.end, end=piece.end, content=piece.content[self.end - piece.start :])
            found.append(events.delta(self.message_id, rest))
            self.end = piece.end

    async def _render(self, piece: Delta, found: list[Event]) -> None:
        """Pass on the blocks that end in a piece, which begins at the last one's end."""
        if self._blocks is None:
            return
        made = await in_thread(finished, piece.content[self._blocks - piece.start :], start=self._blocks)
        found += [events.block(self.message_id, block) for block in made]
        if made:
            self._blocks = made[-1].end


async def follow(message: Message, *, start: int, blocks: int | None = None) -> AsyncGenerator[Event | None]:
    """The events of one reply from an offset on, the last one being its end; None for each silence.

    With the blocks that follow the place `blocks`, where that is given.
    """
    follower = Follower(message.pk, start, blocks=blocks)
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
