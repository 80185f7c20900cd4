"""The provider's connections: which serve again, and how often what they bring is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from conversations import provider as product
from tests import road
from tests.upstream import pieces, request

pytestmark = pytest.mark.once("embedded")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORD = b'data: {"choices": [{"delta": {"content": "word "}}]}\n\n'
END = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
WORDS = 100


class Server:
    """Says a hundred words a millisecond apart, whatever is asked; counts its connections, and those left early."""

    def __init__(self, last: bytes = b"0\r\n\r\n") -> None:
        self.opened = 0
        self._last = last  # what ends the body
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(size.split(b":")[1]))
                writer.write(HEAD)
                for _ in range(WORDS):
                    writer.write(b"%x\r\n%s\r\n" % (len(WORD), WORD))
                    await writer.drain()
                    await asyncio.sleep(0.001)
                if not self._last:
                    await asyncio.sleep(0.1)  # longer than a frame: what comes slowly is read on at once
                writer.write(b"%x\r\n%s\r\n%s" % (len(END), END, self._last))
                if not self._last:
                    writer.close()
            except (asyncio.IncompleteReadError, ConnectionError):
                self.left.set()
                writer.close()
                return


@asynccontextmanager
async def listening(settings: Any, *last: bytes) -> AsyncIterator[Server]:
    talker = Server(*last)
    async with await asyncio.start_server(talker.serve, "127.0.0.1", 0) as server:
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        settings.CHAT_PROVIDER_RETRIES = 0
        yield talker


def test_a_connection_that_was_read_to_its_end_serves_again(settings: Any) -> None:
    async def scenario() -> int:
        async with listening(settings) as server:
            for _ in range(3):
                found, stream = await pieces()
                assert ("".join(found), stream.finish_reason) == ("word " * WORDS, "stop")
            return server.opened

    assert road.run(scenario()) == 1


def test_one_that_is_left_early_is_closed_at_once_and_serves_no_more(settings: Any) -> None:
    async def scenario() -> int:
        async with listening(settings) as server:
            async with product.stream(request()) as stream:
                assert await anext(aiter(stream)) == "word "
            await asyncio.wait_for(server.left.wait(), 10)
            await pieces()
            return server.opened

    assert road.run(scenario()) == 2


def test_an_answer_that_is_whole_stays_so_where_its_body_is_never_ended(settings: Any) -> None:
    async def scenario() -> None:
        async with listening(settings, b""):
            found, stream = await pieces()
            assert ("".join(found), stream.finish_reason) == ("word " * WORDS, "stop")

    road.run(scenario())


def test_what_comes_fast_is_read_a_frame_at_a_time(settings: Any) -> None:
    """A word that had to be waited for begins another read: between the others nothing else runs."""

    async def scenario() -> int:
        reads = 0
        async with listening(settings), product.stream(request()) as stream:
            words = aiter(stream)
            turn = asyncio.Event()
            while True:
                turn.clear()
                asyncio.get_running_loop().call_soon(turn.set)  # runs where the next word is not here yet
                if await anext(words, None) is None:
                    return reads
                reads += turn.is_set()

    assert 0 < road.run(scenario()) < WORDS / 2
