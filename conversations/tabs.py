"""The WebSocket of a person's pages: what changes in one tab or on one device shows in the others."""

from __future__ import annotations

import asyncio
import logging

from accounts.errors import AWAY
from conversations import feed, hints
from conversations.pool import AWAY_SECONDS
from conversations.sockets import SocketConsumer

logger = logging.getLogger(__name__)


class TabConsumer(SocketConsumer):
    """Only tells; whatever a page wants done, it asks for elsewhere."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing is asked for here."""

    async def relay(self) -> None:
        """Pass on the person's feed. After a gap it says so, and the page reads anew what it shows."""
        while True:
            try:
                async with hints.Feed(feed.group_of(self.user.pk)) as heard:
                    while True:
                        await self.send(text_data='{"type":"listening"}')
                        while (hint := await heard.receive()) is not None:
                            await self.send(text_data=hint["data"])
            except AWAY as error:
                logger.warning("a page hears nothing for a moment: %s", type(error).__name__)
                await asyncio.sleep(AWAY_SECONDS)
