"""What goes out: WebSocket messages as long as an answer makes them, the last one too, and files as they are taken.

Daphne bounds the size of a message for the sake of what comes in, from whoever it may be. The library under it holds
what goes out against the same figure: the last event of a long answer, which has its text and its HTML, would be an
error, and its tab would hear nothing any more. What waits for whom is `slow_readers`' affair.

Whoever is closed answers that. The library waits for the answer to the end of this second, which may be a
millisecond, and then resets the connection: who is far away may lose what was said before the close with it.

A file is read as fast as the disk gives it, and all that its reader has not taken would be memory.
"""

import asyncio
from typing import Any

from daphne import server
from daphne.cli import CommandLineInterface
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from conversations import slow_readers

TAKEN_SECONDS = 0.02  # between two looks whether a reader has taken more of a file


class Server(server.Server):  # type: ignore[misc]  # it brings no types
    """Daphne's, that lets whoever sends a file go on when its reader does."""

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Pass on what the application sends."""
        await super().handle_reply(protocol, message)
        if message.get("more_body"):
            while slow_readers.is_behind(getattr(protocol.channel, "transport", None)):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(TAKEN_SECONDS)


class Protocol(WebSocketProtocol):  # type: ignore[misc]
    """Daphne's, that bounds only what comes in and waits for the answer to a close."""

    closeHandshakeTimeout = 10  # noqa: N815 - Autobahn's own name; seconds, rounded down by up to one
    maxMessagePayloadSize: int  # noqa: N815 - Autobahn's own name; bytes

    def sendMessage(self, *args: Any, **kwargs: Any) -> None:  # noqa: N802 - Autobahn's own name
        """Send, however long it is."""
        bound, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(*args, **kwargs)
        finally:
            self.maxMessagePayloadSize = bound


def install() -> None:
    """Have Daphne serve so; before it begins to."""
    CommandLineInterface.server_class = Server
    WebSocketFactory.protocol = Protocol
