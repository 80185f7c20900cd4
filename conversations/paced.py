"""The connections to the provider, read a frame at a time.

A fast stream would wake the process for every token. Here whoever has just read something that came
quickly waits for the rest of the frame before reading on; meanwhile the tokens gather in the kernel and
come as one. What comes slowly, a first token above all, is passed on at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from conversations import frames


class PacedBackend(AsyncNetworkBackend):
    """httpcore2's own way to the network, its streams paced."""

    def __init__(self) -> None:
        self._network = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        """A connection to a host."""
        return PacedStream(await self._network.connect_tcp(host, port, timeout, local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> AsyncNetworkStream:
        """A connection to a socket file."""
        return PacedStream(await self._network.connect_unix_socket(path, timeout, socket_options))

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries to connect."""
        await self._network.sleep(seconds)


class PacedStream(AsyncNetworkStream):
    """One connection."""

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream
        self._due = 0.0  # the loop's time before which nothing is read

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come, once this frame is over."""
        loop = asyncio.get_running_loop()
        if self._due > loop.time():
            await asyncio.sleep(self._due - loop.time())
        began = loop.time()
        data = await self._stream.read(max_bytes, timeout)
        frame = frames.seconds()
        self._due = loop.time() + frame if loop.time() - began < frame else 0.0
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        self._due = 0.0  # what is answered now is another request
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncNetworkStream:
        """The same connection, encrypted: what is paced is what is read out of it."""
        return PacedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore2 asks about it."""
        return self._stream.get_extra_info(info)


class PacedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's own transport over paced connections; as many as there are replies."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = httpcore2.AsyncConnectionPool(  # httpx2 itself takes no network backend
            ssl_context=httpx2.create_ssl_context(),
            max_connections=None,
            max_keepalive_connections=100,
            keepalive_expiry=4,
            network_backend=PacedBackend(),
        )
