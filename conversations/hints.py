"""Hints: events on the channel layer, which may be lost. Whoever follows a reply has the log for the truth."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer

from conversations.events import Event

logger = logging.getLogger(__name__)

GAP = {"type": "gap"}  # what a layer that was cut off tells every feed: hints may have been lost


def group_of(conversation_id: UUID) -> str:
    """The channel-layer group of everyone who follows a conversation."""
    return f"conversation.{conversation_id}"


async def announce(group: str, hint: dict[str, Any]) -> None:
    """Send to a group. A layer that is away costs followers time, never text: they read the log."""
    try:
        await _layer().group_send(group, {"type": "hint", **hint})
    except Exception as error:  # any layer's any error: a hint must not end a reply
        logger.warning("a hint was lost: %s", type(error).__name__)


@dataclass(frozen=True, slots=True)
class Telling:
    """An event for everyone who follows a conversation, to be told of by whoever has what it tells of in hand."""

    conversation_id: UUID
    event: Event

    async def send(self) -> None:
        """Tell them."""
        await announce(group_of(self.conversation_id), self.event.as_hint())

    def published(self) -> tuple[str, bytes]:
        """What the channel layer over Redis would publish, and on which channel."""
        layer = _layer()  # its name for a group is its own affair; a test sees to it that they hear
        hint = layer.serialize({"type": "hint", **self.event.as_hint()})
        return layer._get_group_channel_name(group_of(self.conversation_id)), hint


async def announce_event(conversation_id: UUID, event: Event) -> None:
    """Tell everyone who follows a conversation."""
    await Telling(conversation_id, event).send()


class Feed:
    """One subscriber's hints of one group, as an async context; one at a time waits for them.

    A layer over Redis forgets a channel whenever whoever waits on it is cancelled, and only then. So a task of its
    own waits there from the beginning to the end, and a silence is none of its business.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self._channel = ""
        self._heard: list[dict[str, Any] | Exception] = []  # a queue would be 2 KB more for each idle socket
        self._news: asyncio.Future[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Feed:
        self._channel = await _layer().new_channel()
        self._listening = asyncio.create_task(self._listen())
        try:
            await asyncio.sleep(0)  # from here on it waits there, so that cancelling it makes the layer forget
            await _layer().group_add(self.group, self._channel)
        except BaseException:  # the layer is away, or whoever wanted to listen has gone: nobody would read it
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def receive(self, *, timeout: float | None = None) -> dict[str, Any] | None:
        """The next hint; None where none came within `timeout` seconds, or where some may have been lost."""
        if not self._heard:
            self._news = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._news
            except TimeoutError:
                return None
            finally:
                self._news = None
        hint = self._heard.pop(0)
        if isinstance(hint, Exception):
            raise hint
        return None if hint == GAP else hint

    async def _listen(self) -> None:
        layer = _layer()
        try:
            while True:
                self._hear(await layer.receive(self._channel))
        except Exception as error:
            self._hear(error)

    def _hear(self, what: dict[str, Any] | Exception) -> None:
        self._heard.append(what)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _leave(self) -> None:
        """Let the layer forget the channel.

        A layer that is away is no error then: this process forgets all the same, and an error would take the place
        of the cancellation for which whoever listens leaves, so that they would stay.
        """
        try:
            await _layer().group_discard(self.group, self._channel)
        except Exception as error:
            logger.warning("a group was left with the layer away: %s", type(error).__name__)
        finally:
            if self._listening is not None:
                self._listening.cancel()
                await asyncio.wait({self._listening})

    async def event(self, *, timeout: float | None = None) -> Event | None:
        """The next hint as the event that it is; None as `receive`."""
        hint = await self.receive(timeout=timeout)
        if hint is None:
            return None
        hint.pop("type")
        return Event.of_hint(hint)


def _layer() -> Any:
    layer = get_channel_layer()
    if layer is None:
        raise RuntimeError("CHANNEL_LAYERS has no default layer")
    return layer
