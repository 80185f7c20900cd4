"""WebSocket messages on their way out: as long as an answer makes them, and the last one arrives too.

Daphne bounds the size of a message for the sake of what comes in, from whoever it may be. The library under it holds
what goes out against the same figure: the last event of a long answer, which has its text and its HTML, would be an
error, and its tab would hear nothing any more. What waits for whom is `slow_readers`' affair.

Whoever is closed answers that. The library waits for the answer to the end of this second, which may be a
millisecond, and then resets the connection: who is far away may lose what was said before the close with it.
"""

from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol


class Protocol(WebSocketProtocol):  # type: ignore[misc]  # it brings no types
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
    """Have Daphne make its connections so; before it has made any."""
    WebSocketFactory.protocol = Protocol
