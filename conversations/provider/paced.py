"""The connections to the provider, read a frame at a time.

A fast stream would wake the process for every token. Here whoever has just read something that came
quickly waits for the rest of the frame before reading on; meanwhile the tokens gather in the kernel and
come as one. What comes slowly, a first token above all, is passed on at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import aiohttp
import httpx2

from conversations import frames

KEEP_ALIVE_SECONDS = 4.0  # for a next call; common servers keep theirs for 5


class PacedTransport(httpx2.AsyncBaseTransport):
    """aiohttp's connections under httpx2, their answers paced; as many as there are replies. For one event loop.

    `leaving` is called where a connection is there and a request is about to go, in the task that makes it.
    """

    def __init__(self, *, leaving: Callable[[], object] = lambda: None) -> None:
        self._leaving = leaving
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request whose content is known. Raises httpx2's ConnectError or ConnectTimeout where nothing of it
        has left, its TimeoutException or another TransportError where that is not known.
        """
        times = request.extensions["timeout"]
        with _translated():
            response = await self._opened().request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=times["connect"], sock_read=times["read"]),
            )
        return httpx2.Response(
            response.status, headers=response.raw_headers, stream=PacedStream(response), request=request
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """The session, made where its event loop runs."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=httpx2.create_ssl_context()
            )
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(self._leaves)
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[tracing],
            )
        return self._session

    async def _leaves(self, *_: object) -> None:
        self._leaving()


class PacedStream(httpx2.AsyncByteStream):
    """The body of one answer. Closed before its end, it closes the connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """What has come, each time a frame is over."""
        content, loop = self._response.content, asyncio.get_running_loop()
        while True:
            began = loop.time()
            with _translated():
                data = await content.readany()
            if not data:
                return
            connection, frame = self._response.connection, frames.seconds()
            wire = connection.transport if connection else None
            if wire is None or loop.time() - began >= frame:
                yield data  # all is here, or it comes slowly
                continue
            due = loop.time() + frame
            wire.pause_reading()
            yield data
            await asyncio.sleep(due - loop.time())
            wire.resume_reading()

    async def aclose(self) -> None:
        """Give the connection back where all was read; close it where not."""
        self._response.release()


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of aiohttp as those of httpx2."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(str(error)) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError(str(error)) from error
