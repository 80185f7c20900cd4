"""Daphne, the server, as it is needed here: bodies are left alone, and what goes out arrives and is no burden."""

import asyncio
from typing import Any

from daphne import http_protocol
from daphne import server as daphne_server
from daphne.cli import CommandLineInterface
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from conversations import slow_readers

LONGEST_FRAME = 4 * 1024 * 1024  # bytes; what is longer than a frame may be, but not than this, is refused in words
BODY_PIECE = 1024 * 1024  # bytes
TAKEN_SECONDS = 0.02  # between two looks whether a reader has taken more of a file


class Request(http_protocol.WebRequest):  # type: ignore[misc]  # Daphne brings no types
    """A request whose body is left to the view that it is meant for.

    Twisted takes every form apart before anybody has looked at it, whoever sent it and wherever to, on the event loop
    and in memory: 40 ms for each megabyte of a file, in which no delta moves, and an answer of its own where the form
    is broken. Django does it again, in a thread and within bounds, and only where a view asks for it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, parsePOSTFormSubmission=False, **kwargs)


class Socket(WebSocketProtocol):  # type: ignore[misc]
    """A WebSocket whose messages are as long as an answer makes them, and of which the last one arrives too.

    Daphne bounds the size of a message for the sake of what comes in, from whoever it may be. The library under it
    holds what goes out against the same figure: the last event of a long answer, which has its text and its HTML,
    would be an error, and its tab would hear nothing any more. What waits for whom is `slow_readers`' affair.

    Whoever is closed answers that. The library waits for the answer to the end of this second, which may be a
    millisecond, and then resets the connection: who is far away may lose what was said before the close with it.
    """

    closeHandshakeTimeout = 10  # noqa: N815 - Autobahn's own name; seconds, rounded down by up to one
    maxMessagePayloadSize: int  # noqa: N815 - so is this; bytes

    def sendMessage(self, *args: Any, **kwargs: Any) -> None:  # noqa: N802 - and this
        """Send, however long it is."""
        bound, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(*args, **kwargs)
        finally:
            self.maxMessagePayloadSize = bound


class Server(daphne_server.Server):  # type: ignore[misc]
    """A server that lets whoever sends a file go on when its reader does.

    A file is read as fast as the disk gives it, and all that its reader has not taken would be memory.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        bounds = {"websocket_max_message_size": LONGEST_FRAME, "websocket_max_frame_size": LONGEST_FRAME}
        super().__init__(*args, **{**kwargs, **bounds, "request_buffer_size": BODY_PIECE})

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Pass on what the application sends."""
        await super().handle_reply(protocol, message)
        if message.get("more_body"):
            while slow_readers.is_behind(getattr(protocol.channel, "transport", None)):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(TAKEN_SECONDS)


def install() -> None:
    """Have `daphne` serve so; before it begins to."""
    http_protocol.WebRequest = Request
    WebSocketFactory.protocol = Socket
    CommandLineInterface.server_class = Server
