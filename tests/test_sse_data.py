"""What is cut out of a provider's stream of events, whichever way its bytes come."""

from __future__ import annotations

import random

import pytest

from conversations.provider.sse import LONGEST, EventData

STREAM = (
    "\ufeffdata: one\n\n: a comment\n\nevent: delta\nid: 7\ndata:two\nretry: 5\n\n\n\n"
    "data:  zwei 世界\u2028\u0085 \r\n\r\ndata: first line\rdata: second line\r\r: ping\r\n"
    "\ndata: [DONE]\n\ndata: never ended"
).encode()
FOUND = [b"one", b"two", "zwei 世界\u2028\u0085".encode(), b"first line\nsecond line", b"[DONE]"]


def cut(pieces: list[bytes]) -> list[bytes]:
    events = EventData()
    return [data for piece in pieces for data in events.feed(piece)] + events.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(STREAM)])
def test_the_same_comes_out_whatever_the_pieces(size: int) -> None:
    assert cut([STREAM[start : start + size] for start in range(0, len(STREAM), size)]) == FOUND


@pytest.mark.parametrize("seed", range(50))
def test_the_same_comes_out_wherever_it_is_cut(seed: int) -> None:
    dice = random.Random(seed)
    places = sorted(dice.sample(range(len(STREAM) + 1), dice.randrange(1, 20)))
    pieces = [STREAM[start:end] for start, end in zip([0, *places], [*places, len(STREAM)], strict=True)]
    assert cut(pieces) == FOUND


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_an_event_that_ends_with_the_stream_is_whole(newline: str) -> None:
    assert cut([f"data: a{newline}{newline}data: b{newline}{newline}".encode()]) == [b"a", b"b"]


@pytest.mark.parametrize("line", [b"x", b"data: x\n", b"data:\n", b"data: x\n: ping\n"])
def test_an_event_that_never_ends_is_not_kept_for_ever(line: bytes) -> None:
    with pytest.raises(ValueError, match="does not end"):
        cut([line] * 2 * LONGEST)


def test_an_event_as_long_as_may_be_is_taken() -> None:
    data = b"x" * (LONGEST - 100)
    assert cut([b"data: ", data[:500_000], data[500_000:], b"\n\n"]) == [data]


def test_comments_may_come_for_ever() -> None:
    events = EventData()
    assert not any(events.feed(b": still there\n\n" * 1000) for _ in range(LONGEST // 5000))
    assert events.feed(b"data: at last\n\n") == [b"at last"]
