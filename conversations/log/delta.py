"""A piece of a reply's text with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Text from offset `start` to offset `end` of its reply, in characters."""

    start: int
    end: int
    content: str


class Telling(Protocol):
    """What is told of a log or a delta, once it is there; by the log itself where that saves a trip."""

    async def send(self) -> None:
        """Tell whoever listens."""

    def published(self) -> tuple[str, bytes]:
        """The Redis channel and the message of which `send` would make others hear."""


def joined(deltas: list[Delta], start: int) -> Delta | None:
    """Consecutive deltas as one, cut to what follows an offset; None where nothing does."""
    if not deltas or deltas[-1].end <= start:
        return None
    text = "".join(delta.content for delta in deltas)
    return Delta(start=start, end=deltas[-1].end, content=text[start - deltas[0].start :])
