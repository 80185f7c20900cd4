"""What one reply says: its deltas within the output cap, and the tokens spent by each of them."""

import functools
import itertools
import json
import random
import re
from bisect import bisect_left
from dataclasses import dataclass

from tests.provider import tokens
from tests.provider.script import Script

_VOCABULARY = (
    "a able about above answer are as before better both bring by call cause come count day do each early end even "
    "every far few find for from give good great hand have hold how in into it keep kind large last late learn "
    "less line long make many mean might more most move much must near need never new next no not now of often on "
    "once one only open or other over part place point put read right same say see set settle should show small so "
    "some still such take tell than that the then there these thing think this time to token true turn two under "
    "until up use very want was way well what when where which while who why will with word work year you"
)
_WORDS = _VOCABULARY.split()


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply's deltas, each also as JSON, and the output tokens spent once 0, 1, … n of them were generated.

    `spent` includes the `reasoning` tokens from its start.
    """

    deltas: tuple[str, ...]
    encoded: tuple[bytes, ...]
    spent: tuple[int, ...]
    reasoning: int
    finish_reason: str


def plan(*, script: Script, prompt: str, cap: int | None, model: str = "") -> Reply:
    """A model's reply to a prompt. `cap` is in output tokens, the script's reasoning tokens included."""
    if script.ignore_cap:
        cap = None
    thought = script.reasoning_tokens if cap is None else min(script.reasoning_tokens, cap)
    room = None if cap is None else cap - thought
    return _within(_pieces(script, prompt), room, thought, script.finish_reason, script.escape_unicode, model)


def _pieces(script: Script, prompt: str) -> tuple[str, ...]:
    if script.deltas is not None:
        return script.deltas
    if script.text is not None:
        return _split(script.text, script.delta_size)
    if script.delta_count is not None:
        return _random(script.delta_count, script.delta_size, script.seed)
    return _split(f"You said: {prompt.strip()[:60]} … and this is a short answer to it.", script.delta_size)


def _split(text: str, size: int | None) -> tuple[str, ...]:
    if size is None:
        return tuple(re.findall(r"\s*\S+|\s+", text))
    return tuple(text[start : start + size] for start in range(0, len(text), size))


@functools.lru_cache(maxsize=64)
def _random(count: int, size: int | None, seed: int) -> tuple[str, ...]:
    source = random.Random(seed)
    words = (" " + source.choice(_WORDS) for _ in itertools.count())
    if size is None:
        return tuple(itertools.islice(words, count))
    letters = itertools.chain.from_iterable(words)
    return _split("".join(itertools.islice(letters, count * size)), size)


@functools.lru_cache(maxsize=64)
def _within(
    pieces: tuple[str, ...], room: int | None, thought: int, finish_reason: str, escape: bool, model: str
) -> Reply:
    """The pieces up to `room` tokens of text. A token that is begun is spent, also where its end is not sent."""
    text = "".join(pieces)
    ends = tokens.byte_ends(text, model)
    if room is not None and len(ends) > room:
        finish_reason = "length"
        ends = ends[:room]
        pieces = _shortened(pieces, ends[-1] if ends else 0)
    starts = [0, *ends[:-1]] if ends else []
    sent = itertools.accumulate(len(piece.encode("utf-8", "replace")) for piece in pieces)
    spent = [thought, *(thought + bisect_left(starts, offset) for offset in sent)]
    spent[-1] = thought + len(ends)  # a token whose last character is incomplete was generated too
    encoded = tuple(_encode(piece, escape) for piece in pieces)
    return Reply(pieces, encoded, tuple(spent), thought, finish_reason)


def _shortened(pieces: tuple[str, ...], size: int) -> tuple[str, ...]:
    """The pieces' first `size` bytes of UTF-8, without a last character that is incomplete."""
    kept = []
    for piece in pieces:
        data = piece.encode("utf-8", "replace")
        if len(data) > size:
            kept.append(data[:size].decode("utf-8", "ignore"))
            break
        kept.append(piece)
        size -= len(data)
    return tuple(piece for piece in kept if piece)


def _encode(piece: str, escape: bool) -> bytes:
    try:
        return json.dumps(piece, ensure_ascii=escape).encode()
    except UnicodeEncodeError:  # half a surrogate pair can only be sent escaped
        return json.dumps(piece).encode()
