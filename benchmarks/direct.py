"""Talking to the provider directly, as leanly as can be: the floor below everything that is measured."""

from __future__ import annotations

import asyncio
import re
import time

import orjson

from benchmarks.sockets import Answer

_DATA = re.compile(rb"data: (\{.*\})\n")


class Direct(asyncio.Protocol):
    """One streamed call over a connection of its own."""

    def __init__(self, content: str) -> None:
        self._content = content
        self._buffer = b""
        self._end = 0
        self.answer = Answer(sent_at=time.monotonic())
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    @classmethod
    async def ask(cls, port: int, content: str, *, seconds: float = 60) -> Answer:
        """The whole answer to a message."""
        _, call = await asyncio.get_running_loop().create_connection(lambda: cls(content), "127.0.0.1", port)
        async with asyncio.timeout(seconds):
            return await call.done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": self._content}],
            "max_tokens": 4000,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body = orjson.dumps(request)
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: provider\r\nAuthorization: Bearer sk-bench\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        transport.write(head.encode() + body)

    def data_received(self, data: bytes) -> None:
        """Note when each delta came."""
        now = time.monotonic()
        self._buffer += data
        last = 0
        for match in _DATA.finditer(self._buffer):
            last = match.end()
            chunk = orjson.loads(match[1])
            text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
            if text:
                self._end += len(text)
                self.answer.arrivals.append((now, self._end))
                self.answer.text.append(text)
        finished = b"data: [DONE]" in self._buffer[last:]
        self._buffer = self._buffer[last:]
        if finished and not self.done.done():
            self.answer.done_at = now
            self.done.set_result(self.answer)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The provider is gone."""
        if not self.done.done():
            self.done.set_exception(ConnectionError("the provider closed the connection"))
