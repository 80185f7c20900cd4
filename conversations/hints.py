"""Hints: events on the channel layer, which may be lost. Whoever follows a reply has the log for the truth."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer

from conversations.events import Event

logger = logging.getLogger(__name__)


def group_of(conversation_id: UUID) -> str:
    """The channel-layer group of everyone who follows a conversation."""
    return f"conversation.{conversation_id}"


async def announce(group: str, hint: dict[str, Any]) -> None:
    """Send to a group. A layer that is away costs followers time, never text: they read the log."""
    try:
        await _layer().group_send(group, {"type": "hint", **hint})
    except Exception as error:  # any layer's any error: a hint must not end a reply
        logger.warning("a hint was lost: %s", type(error).__name__)


async def announce_event(conversation_id: UUID, event: Event) -> None:
    """Tell everyone who follows a conversation."""
    await announce(group_of(conversation_id), event.as_hint())


class Feed:
    """One subscriber's hints of one group, as an async context."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._channel = ""

    async def __aenter__(self) -> Feed:
        self._channel = await _layer().new_channel()
        await _layer().group_add(self.group, self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _layer().group_discard(self.group, self._channel)

    async def receive(self, *, timeout: float | None = None) -> dict[str, Any] | None:
        """The next hint; None where none came within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                hint: dict[str, Any] = await _layer().receive(self._channel)
                return hint
        except TimeoutError:
            return None

    async def event(self, *, timeout: float | None = None) -> Event | None:
        """The next hint as the event that it is."""
        hint = await self.receive(timeout=timeout)
        if hint is None:
            return None
        hint.pop("type")
        return Event(**hint)


def _layer() -> Any:
    layer = get_channel_layer()
    if layer is None:
        raise RuntimeError("CHANNEL_LAYERS has no default layer")
    return layer
