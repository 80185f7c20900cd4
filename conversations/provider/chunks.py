"""What a streamed answer's chunks say: pieces of text, and what comes beside them; pure, one reply at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

LONGEST_REASON = 40  # characters, as it is stored


class BrokenOff(Exception):
    """The provider sent an error in the middle of its answer."""


@dataclass(slots=True)
class Chunks:
    """Takes the chunks of one answer in turn; `finish_reason` and `usage` (as it can be stored) are the newest."""

    finish_reason: str = ""
    usage: dict[str, Any] | None = None
    _half: str = ""  # the first half of a surrogate pair whose second comes with the next chunk

    def take(self, data: bytes) -> str:
        """The text in a chunk; empty where it has none. BrokenOff, or ValueError, TypeError, AttributeError
        where it is not of the known form.
        """
        chunk = _chunk(data)
        if not isinstance(chunk, dict):
            raise ValueError("a chunk that is no object")
        if "error" in chunk:
            raise BrokenOff
        if isinstance(chunk.get("usage"), dict):
            self.usage = _storable(chunk["usage"])
        text = self._half
        for choice in chunk.get("choices") or []:
            if reason := choice.get("finish_reason"):
                self.finish_reason = str(reason).replace("\x00", "")[:LONGEST_REASON]
            text += (choice.get("delta") or {}).get("content") or ""
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text.removesuffix(self._half).replace("\x00", "")  # PostgreSQL's text refuses it
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _chunk(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Python's takes half a surrogate pair, which some servers send; others send bytes that are no text.
        return json.loads(data.decode(errors="replace"))


def _storable(usage: dict[str, Any]) -> dict[str, Any] | None:
    """The usage object as any database stores it; None where it holds what none does."""
    data = orjson.dumps(usage)
    stored: dict[str, Any] | None = None if b"\\u0000" in data else orjson.loads(data)
    return stored
