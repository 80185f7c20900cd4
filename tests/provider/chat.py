"""POST /v1/chat/completions: one request, answered as its script says, and billed as it goes."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

from tests.provider import frames, reply, tokens
from tests.provider.bill import Call
from tests.provider.connection import Connection
from tests.provider.errors import Refusal
from tests.provider.gate import Gate
from tests.provider.request import ChatRequest
from tests.provider.script import Script

_TICK = 1000  # waits end on whole milliseconds, so that many streams share one wake-up of the loop


async def sleep_until(due: float) -> None:
    """Wait until an instant of the loop's clock; when it is past, let others run once."""
    loop = asyncio.get_running_loop()
    if due <= loop.time():
        await asyncio.sleep(0)
        return
    waiter = loop.create_future()
    handle = loop.call_at(math.ceil(due * _TICK) / _TICK, _wake, waiter)
    try:
        await waiter
    finally:
        handle.cancel()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # whoever waited may have been cancelled at the same instant
        waiter.set_result(None)


class _Cut(Exception):
    """The script ends the reply here."""


class Answer:
    """One reply under way."""

    def __init__(
        self,
        *,
        connection: Connection,
        call: Call,
        request: ChatRequest,
        script: Script,
        gate: Gate,
    ) -> None:
        self._connection = connection
        self._call = call
        self._request = request
        self._script = script
        self._gate = gate
        self._reply = reply.plan(script=script, prompt=request.prompt, cap=request.cap, model=request.model)
        self._created = int(time.time())
        self._frames = frames.Frames(
            script=script,
            request_id=call.request_id,
            model=request.model,
            created=self._created,
            include_usage=request.include_usage,
        )
        self._whole = not (script.split_at or script.split_every or script.split_utf8)
        self._waiting: list[bytes] = []

    async def run(self) -> None:
        """Answer; raises Refusal where the script refuses before it generates."""
        script, call = self._script, self._call
        if script.delay_headers:
            await sleep_until(asyncio.get_running_loop().time() + script.delay_headers)
        if script.cut_after == -1:
            call.end("refused")
            self._break_off()
            return
        if script.html:
            self._head(script.status, {"content-type": "text/html; charset=utf-8"}, frames.HTML)
            call.end("refused")
            return
        if script.status >= 400:
            raise Refusal.scripted(script, script.status)
        try:
            await self._generate()
        except _Cut:
            call.end("cut")
        else:
            call.end("complete")

    async def _generate(self) -> None:
        script, call = self._script, self._call
        call.input_tokens = (
            tokens.count_messages(self._request.messages, self._request.model) + script.hidden_input_tokens
        )
        call.cached_input_tokens = min(script.cached_tokens, call.input_tokens)
        call.reply = self._reply
        if self._request.stream:
            self._head(script.status, {"content-type": "text/event-stream; charset=utf-8"}, None)
            if script.role_chunk:
                await self._send(self._frames.role())
        await self._deltas()
        if self._request.stream:
            await self._closing_frames()
        else:
            self._head(script.status, {"content-type": "application/json"}, self._whole_answer())

    async def _deltas(self) -> None:
        script, call, stream = self._script, self._call, self._request.stream
        last = len(self._reply.deltas)
        marks = self._marks(last)
        due = asyncio.get_running_loop().time() + script.delay_first
        for index, encoded in enumerate(self._reply.encoded):
            if index in marks:
                due += await self._at_mark(index, last)
            await sleep_until(due)
            call.generated = index + 1
            if stream:
                await self._send(self._frames.text(encoded))
            if index == 0:
                call.first_delta_at = time.monotonic()
            due += script.delay_between
        if last in marks:
            await self._at_mark(last, last)

    def _marks(self, last: int) -> set[int]:
        script = self._script
        places = (
            script.cut_after,
            script.stall_after,
            script.hold_after,
            script.error_event_after,
            script.broken_json_after,
            script.empty_choices_after,
        )
        return {min(place, last) for place in places if place is not None}

    async def _at_mark(self, index: int, last: int) -> float:
        """Do what the script does after so many deltas; the seconds by which the rest is late."""
        script, stream = self._script, self._request.stream
        begun = asyncio.get_running_loop().time()

        def here(place: int | None) -> bool:
            return place is not None and min(place, last) == index

        if here(script.empty_choices_after) and stream:
            await self._send(self._frames.empty_choices())
        if here(script.broken_json_after) and stream:
            await self._send(self._frames.broken())
        if here(script.stall_after) or here(script.hold_after):
            self._flush()
            await self._wait(script.stall_seconds if here(script.stall_after) else None)
        if here(script.error_event_after):
            await self._fail()
        if here(script.cut_after):
            self._cut()
        return asyncio.get_running_loop().time() - begun

    async def _wait(self, seconds: float | None) -> None:
        """Say nothing for so long, or until all who wait are released."""
        self._call.waiting = True
        try:
            async with asyncio.timeout(seconds):
                await self._gate.wait()
        except TimeoutError:
            pass
        finally:
            self._call.waiting = False

    async def _fail(self) -> None:
        refusal = Refusal.scripted(self._script, 500)
        if self._request.stream:
            await self._send(self._frames.error(refusal.error))
            self._flush()
            self._connection.end_body()
        else:
            body = json.dumps({"error": refusal.error}).encode()
            self._head(500, {"content-type": "application/json"}, body)
        raise _Cut

    def _cut(self) -> None:
        self._flush()
        if not self._request.stream:
            body = self._whole_answer()
            self._head(self._script.status, {"content-length": str(len(body))}, None)
            self._connection.write(body[: len(body) // 2])
        if self._script.cut == "end" and self._request.stream:
            self._connection.end_body()
        else:
            self._break_off()
        raise _Cut

    def _break_off(self) -> None:
        if self._script.cut == "reset":
            self._connection.reset()
        else:
            self._connection.close()

    async def _closing_frames(self) -> None:
        script = self._script
        if script.finish:
            await self._send(self._frames.finish(self._reply.finish_reason))
        if script.usage_chunk and self._request.include_usage:
            await self._send(self._frames.usage(self._usage()))
        if script.done:
            await self._send(self._frames.done())
        self._flush()
        self._connection.end_body()

    async def _send(self, frame: bytes) -> None:
        """Write a frame: at once, together with others, or in pieces."""
        if self._script.frames_per_write > 1:
            self._waiting.append(frame)
            if len(self._waiting) >= self._script.frames_per_write:
                self._flush()
        elif self._whole:
            self._connection.write(frame)
        else:
            for piece in frames.pieces(frame, self._script):
                self._connection.write(piece)
                await asyncio.sleep(self._script.split_pause)
        await self._connection.drain()

    def _flush(self) -> None:
        if self._waiting:
            self._connection.write(b"".join(self._waiting))
            self._waiting.clear()

    def _head(self, status: int, headers: dict[str, str], body: bytes | None) -> None:
        """Headers and a whole body, or those of a body that follows."""
        self._call.status = status
        headers = {**headers, "x-request-id": self._call.request_id, **self._script.headers}
        if self._script.retry_after is not None:
            headers["retry-after"] = self._script.retry_after
        if body is not None:
            self._connection.answer(status, headers, body)
        elif "content-length" in headers:
            self._connection.write_head(status, headers)
        else:
            self._connection.write_head(status, {**headers, "transfer-encoding": "chunked"})
        self._call.headers_sent_at = time.monotonic()

    def _usage(self) -> object:
        return frames.usage(
            script=self._script,
            input_tokens=self._call.input_tokens,
            cached_tokens=self._call.cached_input_tokens,
            output_tokens=self._reply.spent[-1],
            reasoning=self._reply.reasoning,
        )

    def _whole_answer(self) -> bytes:
        """The body of an answer that is not streamed."""
        text = "".join(self._reply.deltas)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        answer = {
            "id": frames.completion_id(self._call.request_id),
            "object": "chat.completion",
            "created": self._created,
            "model": self._request.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": self._reply.finish_reason if self._script.finish else None,
                }
            ],
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        }
        if self._script.usage_chunk:
            answer["usage"] = self._usage()
        body = json.dumps(answer).encode()
        return body[:-20] if self._script.broken_json_after is not None else body
