"""Server-sent events as bytes: a reply's chunks in the wire format, and how they are cut and joined."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.provider.script import Script

HTML = b"<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body><h1>Please wait</h1></body></html>\n"


class Frames:
    """Makes the frames of one stream. Text chunks are put together from bytes that are encoded once."""

    def __init__(self, *, script: Script, request_id: str, model: str, created: int, include_usage: bool) -> None:
        self._start = b"data: " if script.data_space else b"data:"
        self._end = script.newline.encode() * 2
        if script.comments:
            self._start = b": here" + self._end + self._start
        self._include_usage = include_usage
        self._common: dict[str, Any] = {
            "id": completion_id(request_id),
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        }
        before, after = self._chunk({"content": "\x00"}, None).split(b'"\\u0000"')
        self._before, self._after = self._start + before, after + self._end

    def text(self, encoded: bytes) -> bytes:
        """A chunk with a delta of text, given as JSON."""
        return self._before + encoded + self._after

    def role(self) -> bytes:
        """The first chunk: who speaks, and no text."""
        return self.data(self._chunk({"role": "assistant", "content": "", "refusal": None}, None))

    def finish(self, reason: str) -> bytes:
        """The chunk that says why generation ended."""
        return self.data(self._chunk({}, reason))

    def empty_choices(self) -> bytes:
        """A chunk without a choice."""
        return self.data(_compact({**self._common, "choices": [], "prompt_filter_results": []}))

    def usage(self, usage: Any) -> bytes:
        """The chunk with the usage, which has no choice."""
        return self.data(_compact({**self._common, "choices": [], "usage": usage}))

    def error(self, error: dict[str, Any]) -> bytes:
        """An error in mid-stream."""
        return self.data(_compact({"error": error}))

    def broken(self) -> bytes:
        """A chunk that ends in the middle of its JSON."""
        return self.data(self._chunk({"content": "broken"}, None)[:-20])

    def done(self) -> bytes:
        """The last frame."""
        return self.data(b"[DONE]")

    def data(self, payload: bytes) -> bytes:
        """A frame around any payload."""
        return self._start + payload + self._end

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._common, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return _compact(chunk)


def completion_id(request_id: str) -> str:
    """The id inside the answer, which is not that of the request."""
    return request_id.replace("req_", "chatcmpl-", 1)


def pieces(frame: bytes, script: Script) -> Iterator[bytes]:
    """A frame cut where the script says."""
    cuts = {offset if offset >= 0 else len(frame) + offset for offset in script.split_at}
    if script.split_every:
        cuts.update(range(script.split_every, len(frame), script.split_every))
    if script.split_utf8:
        cuts.update(offset for offset, byte in enumerate(frame) if byte & 0xC0 == 0x80)
    start = 0
    for cut in sorted(cuts):
        if start < cut < len(frame):
            yield frame[start:cut]
            start = cut
    yield frame[start:]


def usage(*, script: Script, input_tokens: int, cached_tokens: int, output_tokens: int, reasoning: int) -> Any:
    """The usage object, or what the script sends in its place."""
    if script.usage_replace is not None:
        return script.usage_replace
    true: dict[str, Any] = {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    for name, value in (script.usage_extra or {}).items():
        both = isinstance(value, dict) and isinstance(true.get(name), dict)
        true[name] = {**true[name], **value} if both else value
    return true


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
