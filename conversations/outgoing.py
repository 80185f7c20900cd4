"""WebSocket messages on their way out, which may be as long as an answer makes them.

Daphne bounds the size of a message for the sake of what comes in, from whoever it may be. The library under it holds
what goes out against the same figure: the last event of a long answer, which has its text and its HTML, would be an
error, and its tab would hear nothing any more. What waits for whom is `slow_readers`' affair.
"""

from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol


class Protocol(WebSocketProtocol):  # type: ignore[misc]  # it brings no types
    """Daphne's, that bounds only what comes in."""

    maxMessagePayloadSize: int  # noqa: N815 - Autobahn's own name; bytes

    def sendMessage(self, *args: Any, **kwargs: Any) -> None:  # noqa: N802 - Autobahn's own name
        """Send, however long it is."""
        bound, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(*args, **kwargs)
        finally:
            self.maxMessagePayloadSize = bound


def unbound() -> None:
    """Have Daphne make its connections so; before it has made any."""
    WebSocketFactory.protocol = Protocol
