"""One client's HTTP/1.1 connection: h11 reads the requests, the answers are written byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import h11


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came; header names in lower case, `received_at` in seconds of `time.monotonic()`."""

    request_id: str
    method: str
    path: str
    headers: dict[str, str]
    content: bytes
    received_at: float

    @property
    def body(self) -> Any:
        """Its JSON, or None where it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None


Handler = Callable[["Connection", h11.Request, bytes], Awaitable[None]]


class Connection(asyncio.Protocol):
    """Answers one request at a time; when the client goes away, the answer under way is cancelled at once."""

    def __init__(self, handler: Handler, everyone: set[Connection]) -> None:
        self._handler = handler
        self._everyone = everyone
        self._parser = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._chunked = False
        self.client_closed_at: float | None = None

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._everyone.add(self)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._parser.receive_data(data)
        if self._task is None:
            self._read()

    def eof_received(self) -> bool:
        self._client_closed()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._everyone.discard(self)
        self._client_closed()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _client_closed(self) -> None:
        if self.client_closed_at is None:
            self.client_closed_at = time.monotonic()
        if self._task is not None:
            self._task.cancel()

    # Requests

    def _read(self) -> None:
        try:
            while True:
                event = self._parser.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                    if self._parser.they_are_waiting_for_100_continue:
                        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self._task = asyncio.get_running_loop().create_task(self._answer())
                    return
                else:
                    return
        except h11.RemoteProtocolError:
            self.answer(400, {"content-type": "text/plain", "connection": "close"}, b"This is no HTTP request.\n")
            self._transport.close()

    async def _answer(self) -> None:
        request = self._request
        assert request is not None
        try:
            await self._handler(self, request, bytes(self._body))
        except asyncio.CancelledError:
            self._transport.abort()
            return
        except Exception:  # a mistake in a test's script or here: show it, and let the client see a cut
            traceback.print_exc()
            self._transport.abort()
            return
        if (b"connection", b"close") in request.headers:
            self._transport.close()
        self._next_request()

    def _next_request(self) -> None:
        waiting, _ = self._parser.trailing_data
        self._parser = h11.Connection(h11.SERVER)
        self._request, self._task = None, None
        self._body.clear()
        if waiting:
            self.data_received(waiting)

    # Answers

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer."""
        self.write_head(status, {**headers, "content-length": str(len(body))})
        self._transport.write(body)

    def write_head(self, status: int, headers: Mapping[str, str]) -> None:
        """The status and the headers; the body's bytes follow by `write`."""
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self._chunked = "transfer-encoding" in headers
        self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def write(self, data: bytes) -> None:
        """Bytes of the body; in a stream, as one chunk of the transfer encoding."""
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end_body(self) -> None:
        """The body of a stream is complete."""
        self._transport.write(b"0\r\n\r\n")

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written."""
        if not self._writable.is_set():
            await self._writable.wait()

    def close(self) -> None:
        """Close the connection once what was written has left."""
        self._transport.close()

    def reset(self) -> None:
        """End the connection with RST; what the client has not read is lost."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()
