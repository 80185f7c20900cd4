"""The conversations of a JSON text, one at a time: memory holds one of them, however many there are.

A text is an array of conversations, an object that holds such an array as `conversations`, or one
conversation. Where one ends is told by its brackets and quotation marks, of which no more than a piece is at
hand; it is read as JSON only then, and one that is too large or nested too deeply is passed over unread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from django.utils.translation import gettext as _

from conversations.transfer.upload import Unreadable

MOST_BYTES = 100_000_000  # of one conversation
MOST_VALUES = 2_000_000
HOPELESS = 20_000_000  # values beyond these, and the file is looked at no further
DEEPEST = 60  # nested arrays and objects
PIECE = 65_536  # bytes that are read at once
LONGEST_INTEGER = 18  # digits; JSON knows no end, our columns and writers take 64 bits

_MARKS = re.compile(rb'([\[{]+)|([\]}]+)|(,)|"(?:[^"\\]+|\\.)*("?)', re.DOTALL)
_OPENING, _CLOSING, _COMMA, _QUOTED = 1, 2, 3, 4  # its groups
_SPACE = re.compile(rb"[ \t\r\n]*")


class Source(Protocol):
    """What is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""


class TooLarge:
    """Stands for a conversation that was passed over."""


@dataclass(slots=True)
class _Room:
    """How much one conversation may still hold."""

    bytes: int = field(default_factory=lambda: MOST_BYTES)
    values: int = field(default_factory=lambda: MOST_VALUES)

    @property
    def suffices(self) -> bool:
        """Whether it has held all so far."""
        return self.bytes >= 0 and self.values >= 0


def items(source: Source) -> Iterator[object]:
    """Each conversation as plain values, or TooLarge. Raises Unreadable where the text is not that.

    What JSON allows and nothing of ours can be, a number without an end, is None or infinite.
    """
    text = _Text(source)
    opening = text.peek()
    if not opening:
        raise _broken_off()
    if opening == b"[":
        yield from _array(text)
    elif opening == b"{":
        yield from _document(text)
    else:
        raise no_export()
    if text.peek():
        raise _invalid()


def no_export() -> Unreadable:
    """For a file of something else."""
    return Unreadable(_("The file is no export of ChatGPT, of Open WebUI or of this chat."))


def _array(text: _Text) -> Iterator[object]:
    for _member in text.members(b"[", b"]"):
        yield text.value(_Room())


def _document(text: _Text) -> Iterator[object]:
    head: dict[object, object] = {}
    room, listed = _Room(), False  # one room for all: it may be one conversation
    for _member in text.members(b"{", b"}"):
        if text.peek() != b'"':
            raise _invalid()
        name = text.value(room)
        text.take(b":")
        if name == "conversations" and text.peek() == b"[":
            listed = True
            yield from _array(text)
            continue
        value = text.value(room)
        if room.suffices:
            head[name] = value
    if not listed:
        yield head if room.suffices else TooLarge()


def _broken_off() -> Unreadable:
    return Unreadable(_("The file breaks off in the middle, or is empty. Download it again."))


def _invalid() -> Unreadable:
    return Unreadable(_("The file is no valid JSON."))


class _Text:
    """A JSON text, read on as it is needed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._data = b""
        self._place = 0

    def peek(self) -> bytes:
        """The next character that is no space, left where it is; none at the end."""
        while True:
            found = _SPACE.match(self._data, self._place)
            self._place = found.end() if found else self._place
            if self._place < len(self._data) or not self._read_on():
                return self._data[self._place : self._place + 1]

    def take(self, marks: bytes) -> bytes:
        """The next character that is no space; it must be one of these."""
        mark = self.peek()
        if not mark:
            raise _broken_off()
        if mark not in marks:
            raise _invalid()
        self._place += 1
        return mark

    def members(self, opening: bytes, closing: bytes) -> Iterator[None]:
        """Comes to every member of an array or object, whose reader takes it."""
        self.take(opening)
        if self.peek() == closing:
            self.take(closing)
            return
        while True:
            yield
            if self.take(b"," + closing) == closing:
                return

    def value(self, room: _Room) -> object:
        """The value that begins here, or TooLarge where it, or what came before it, has no room."""
        kept = bytearray()
        for piece in self._pieces(room):
            room.bytes -= len(piece)
            if room.suffices:
                kept += piece
        if not room.suffices:
            return TooLarge()
        try:
            return _DECODER.decode(kept.decode())
        except ValueError:
            raise _invalid() from None

    def _pieces(self, room: _Room) -> Iterator[bytes]:
        """The value that begins here, as it is written; its parts are taken off the room."""
        self.peek()
        begins, depth, ended = self._place, 0, False
        while not ended:
            depth, ended, quote = self._scan(depth, room)
            yield self._data[begins : self._place]
            if room.values < -HOPELESS:
                raise Unreadable(_("The file holds something that is far too large to be a conversation."))
            if not ended and not self._read_on(quote):
                raise _broken_off()
            begins = len(quote)

    def _scan(self, depth: int, room: _Room) -> tuple[int, bool, bytes]:
        """Go on to the value's end, or that of the data: how deep it is, which of both, and what quotation is open."""
        for found in _MARKS.finditer(self._data, self._place):
            kind, count = found.lastindex, found.end() - found.start()
            if kind == _OPENING:
                depth += count
                room.values -= count
                if depth > DEEPEST:
                    room.bytes = -1
            elif kind == _QUOTED:
                if depth and found[_QUOTED]:
                    continue
                self._place = found.end()
                return depth, bool(found[_QUOTED]), b"" if found[_QUOTED] else b'"'
            elif kind == _COMMA and depth:
                room.values -= 1
            elif count < depth:
                depth -= count
            else:
                self._place = found.start() + depth
                return 0, True, b""
        self._place = len(self._data)
        return depth, False, b""

    def _read_on(self, quote: bytes = b"") -> bool:
        """Read the next piece, if there is one, and drop what lies behind, but for a quotation mark that is open."""
        more = self._source.read(PIECE)
        self._data, self._place = quote + self._data[self._place :] + more, 0
        return bool(more)


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= LONGEST_INTEGER else None


_DECODER = json.JSONDecoder(parse_int=_integer)
