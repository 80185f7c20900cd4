"""A lean WebSocket client: it must cost little, since it shares the machine with what it measures."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


@dataclass(slots=True)
class Answer:
    """One reply as a tab saw it; instants in seconds of `time.monotonic()`, `arrivals` as (instant, end)."""

    sent_at: float
    started_at: float = 0.0
    done_at: float = 0.0
    message_id: str = ""
    status: str = ""
    text: list[str] = field(default_factory=list)
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    @property
    def first(self) -> float:
        """Seconds from Send to the first delta."""
        return self.arrivals[0][0] - self.sent_at


class Socket(asyncio.Protocol):
    """One tab."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._upgraded = False
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answer: Answer | None = None
        self.first: asyncio.Future[Answer] | None = None
        self.done: asyncio.Future[Answer] | None = None
        self.frames = 0

    @classmethod
    async def connect(cls, port: int, path: str, token: str = "") -> Socket:
        """Open one; raises ConnectionError where that is refused."""
        _, socket = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        socket.transport.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(30):
            await socket.open
        return socket

    def send(self, frame: dict[str, Any]) -> None:
        """Send one JSON object."""
        self._write(_TEXT, orjson.dumps(frame))

    def ask(self, content: str) -> Answer:
        """Send a message; the answer fills itself, and `first` and `done` tell how far it is."""
        loop = asyncio.get_running_loop()
        self.first, self.done = loop.create_future(), loop.create_future()
        self.answer = Answer(sent_at=time.monotonic())
        self.send({"type": "send", "key": uuid.uuid4().hex, "content": content})
        return self.answer

    async def whole(self, content: str, *, seconds: float = 60) -> Answer:
        """Send a message and wait for the end of its answer."""
        self.ask(content)
        assert self.done is not None
        async with asyncio.timeout(seconds):
            return await self.done

    def sleep(self) -> None:
        """Read nothing any more."""
        self.transport.pause_reading()

    def close(self) -> None:
        """Drop the connection."""
        self.transport.abort()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        for waiting in (self.open, self.first, self.done):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError("the socket was closed"))
                waiting.exception()  # nobody may be waiting

    def data_received(self, data: bytes) -> None:
        """Take whole frames out of what has come."""
        now = time.monotonic()
        self._buffer += data
        if not self._upgraded:
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.open.set_exception(ConnectionError(head.split(b"\r\n")[0].decode()))
                return
            self._upgraded, self._buffer = True, bytearray(rest)
            self.open.set_result(None)
        while (frame := self._next()) is not None:
            self._on(*frame, now)

    def _next(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 127, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start])
        if len(buffer) < start + size:
            return None
        opcode, payload = buffer[0] & 15, bytes(buffer[start : start + size])
        del buffer[: start + size]
        return opcode, payload

    def _on(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == _PING:
            self._write(_PONG, payload)
        elif opcode == _TEXT:
            self.frames += 1
            if self.answer is not None:
                self._take(self.answer, orjson.loads(payload), now)

    def _take(self, answer: Answer, event: dict[str, Any], now: float) -> None:
        assert self.first is not None
        assert self.done is not None
        match event["type"]:
            case "delta":
                answer.arrivals.append((now, event["end"]))
                answer.text.append(event["content"])
                if not self.first.done():
                    self.first.set_result(answer)
            case "started":
                answer.started_at, answer.message_id = now, event["message"]["id"]
            case "done":
                answer.done_at, answer.status = now, event.get("message", {}).get("status", "")
                if not self.done.done():
                    self.done.set_result(answer)
            case "error" if not self.done.done():
                self.done.set_exception(RuntimeError(str(event["error"])))

    def _write(self, opcode: int, payload: bytes) -> None:
        """A masked frame; the mask is zero, so that nothing need be masked."""
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        else:
            head += bytes([0x80 | 126]) + struct.pack(">H", size) if size < 65536 else b"\xff" + struct.pack(">Q", size)
        self.transport.write(head + b"\0\0\0\0" + payload)
