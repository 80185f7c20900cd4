"""The conversations of a JSON text, one at a time: memory holds one of them, however many there are.

A text is an array of conversations, an object that holds such an array as `conversations`, or one
conversation. One that is too large or nested too deeply is passed over unread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import ijson
from django.utils.translation import gettext as _

from conversations.transfer.upload import Unreadable

MOST_VALUES = 2_000_000  # of one conversation
MOST_CHARACTERS = 100_000_000
DEEPEST = 60  # nested arrays and objects
_OPEN, _CLOSE = frozenset({"start_map", "start_array"}), frozenset({"end_map", "end_array"})

Event = tuple[str, Any]


class Source(Protocol):
    """What is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""


class TooLarge:
    """Stands for a conversation that was passed over."""


class _Room:
    """How much one conversation may still hold."""

    def __init__(self) -> None:
        self.values, self.characters = MOST_VALUES, MOST_CHARACTERS

    def take(self, text: object = None) -> None:
        """Count a value, or a name."""
        self.values -= 1
        self.characters -= len(text) if isinstance(text, str) else 0

    @property
    def suffices(self) -> bool:
        """Whether it has held all so far."""
        return self.values >= 0 and self.characters >= 0


def items(source: Source) -> Iterator[object]:
    """Each conversation as plain values, or TooLarge. Raises Unreadable where the text is not that."""
    events = _events(source)
    kind, _value = next(events)
    if kind == "start_array":
        yield from _array(events)
    elif kind == "start_map":
        yield from _document(events)
    else:
        raise Unreadable(_("The file is no export of conversations: it holds a single value."))
    for _event in events:  # what follows the end is refused by the parser
        raise Unreadable(_("The file holds more than one JSON text."))


def _events(source: Source) -> Iterator[Event]:
    try:
        yield from ijson.basic_parse(source, use_float=True, buf_size=65_536)
    except ijson.IncompleteJSONError as error:
        if "premature EOF" in str(error):
            raise Unreadable(_("The file breaks off in the middle, or is empty. Download it again.")) from None
        raise Unreadable(_("The file is no valid JSON.")) from None
    except (ijson.JSONError, ValueError):
        raise Unreadable(_("The file is no valid JSON.")) from None


def _array(events: Iterator[Event]) -> Iterator[object]:
    for kind, value in events:
        if kind == "end_array":
            return
        yield _value(kind, value, events, _Room())


def _document(events: Iterator[Event]) -> Iterator[object]:
    head: dict[str, object] = {}
    room, listed = _Room(), False  # one room for all: it may be one conversation
    for end, name in events:
        if end == "end_map":
            break
        kind, value = next(events)
        if name == "conversations" and kind == "start_array":
            listed = True
            yield from _array(events)
            continue
        room.take(name)
        made = _value(kind, value, events, room)
        if room.suffices:
            head[name] = made
    if not listed:
        whole = room.suffices and not any(isinstance(part, TooLarge) for part in head.values())
        yield head if whole else TooLarge()


def _value(kind: str, value: Any, events: Iterator[Event], room: _Room) -> object:
    """The value that begins with an event, read to its end."""
    if kind not in _OPEN:
        room.take(value)
        return value if room.suffices else TooLarge()
    root: Any = {} if kind == "start_map" else []
    stack, names = [root], [""]
    values, characters = room.values, room.characters  # left; as names of their own, for this runs long
    for kind, value in events:
        if kind == "map_key":
            names[-1] = value
            characters -= len(value)
            continue
        if kind in _CLOSE:
            stack.pop()
            names.pop()
            if not stack:
                room.values, room.characters = values, characters
                return root
            continue
        values -= 1
        characters -= len(value) if kind == "string" else 0
        made: Any = ({} if kind == "start_map" else []) if kind in _OPEN else value
        if isinstance(stack[-1], dict):
            stack[-1][names[-1]] = made
        else:
            stack[-1].append(made)
        if kind in _OPEN:
            stack.append(made)
            names.append("")
        if values < 0 or characters < 0 or len(stack) > DEEPEST:
            room.values, room.characters = values, characters
            return _passed_over(events, len(stack))
    raise Unreadable(_("The file breaks off in the middle. Download it again."))


def _passed_over(events: Iterator[Event], depth: int) -> TooLarge:
    for kind, _value in events:
        depth += (kind in _OPEN) - (kind in _CLOSE)
        if not depth:
            break
    return TooLarge()
