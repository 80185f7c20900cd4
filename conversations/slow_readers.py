"""Readers that do not read: cut off once too much waits for them, or waited for.

Daphne writes whatever it is given and never asks a sender to wait, so one stalled tab could hold any
amount of memory. A reader of events who was cut comes back and catches up from the log. Whoever is sent a file would
have to begin anew, so they are waited for (`server`).
"""

import asyncio
import logging
import sys
import weakref
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.tcp import Connection

logger = logging.getLogger(__name__)

MOST_QUEUED = 4 * 1024 * 1024  # bytes; more than the longest event, the closing one of a long reply
LOOK_EVERY_SECONDS = 1.0
MOST_AHEAD = 1024 * 1024  # bytes of a file that its reader has not taken yet; one piece more may join them

_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = weakref.WeakKeyDictionary()


def watch() -> None:
    """See to it that this process's connections are looked at, once a second."""
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        _watches[loop] = loop.create_task(_look())


async def _look() -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        reactor: Any = sys.modules.get("twisted.internet.reactor")  # there where Daphne runs
        for writer in reactor.getWriters() if reactor else ():
            if isinstance(writer, Connection) and queued(writer) > MOST_QUEUED and _is_stream(writer):
                logger.warning("a reader that does not read was cut off with %s bytes queued", queued(writer))
                writer.abortConnection()  # type: ignore[no-untyped-call]


def is_behind(connection: object) -> bool:
    """Whether whoever reads a file there has so much before them that nothing should be added."""
    if not isinstance(connection, Connection) or not connection.connected:
        return False
    return queued(connection) > MOST_AHEAD and not _is_stream(connection)


def queued(writer: Connection) -> int:
    """Bytes that wait for a connection; Twisted has no public name for them."""
    return len(writer.dataBuffer) - writer.offset + writer._tempDataLen


def _is_stream(writer: Any) -> bool:
    """Whether it is a WebSocket or an event stream; a long download may well wait for its reader."""
    protocol = getattr(writer, "protocol", None)
    if isinstance(protocol, WebSocketProtocol):
        return True
    requests = getattr(getattr(protocol, "_channel", protocol), "requests", [])
    kinds = [kind for request in requests for kind in request.responseHeaders.getRawHeaders(b"Content-Type", [])]
    return any(kind.startswith(b"text/event-stream") for kind in kinds)
