"""The conversations of a file, whoever's export it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType

from django.utils.translation import gettext as _

from conversations.transfer import chatgpt, openwebui, own, stream, tree, upload, values
from conversations.transfer.tree import Tree, Unusable
from conversations.transfer.upload import Unreadable

MOST_CONVERSATIONS = 100_000
READERS: tuple[ModuleType, ...] = (own, chatgpt, openwebui)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A conversation that cannot be taken, and why, in its owner's language; `foreign`: it has nobody's form."""

    title: str
    reason: str
    foreign: bool = False


def conversations(path: Path, *, now: datetime) -> Iterator[Tree | Skipped]:
    """Each conversation of a file, in the file's order. Raises Unreadable, perhaps only after some have come."""
    return (read(item, now=now) for item in items(path))


def items(path: Path) -> Iterator[object]:
    """The same, not yet looked at, for `read`."""
    count = 0
    for text in upload.streams(path):
        for item in stream.items(text):
            count += 1
            if count > MOST_CONVERSATIONS:
                raise Unreadable(
                    _("The file holds more than %(most)s conversations, which is the limit.")
                    % {"most": f"{MOST_CONVERSATIONS:,}"}
                )
            yield item


def check(path: Path, *, now: datetime) -> Iterator[int]:
    """Read a file to its end and keep nothing; gives how many conversations have been seen, time and again.

    Raises Unreadable where the file is broken, or holds conversations of nobody's form.
    """
    usable = count = 0
    for found in conversations(path, now=now):
        count += 1
        usable += isinstance(found, Tree) or not found.foreign
        yield count
    if count and not usable:
        raise stream.no_export()


def read(item: object, *, now: datetime) -> Tree | Skipped:
    """What a file holds, as a conversation."""
    if isinstance(item, stream.TooLarge):
        return Skipped(title="", reason=_("It is too large, or nested too deeply."))
    found = values.mapping(item)
    reader = next((reader for reader in READERS if reader.recognises(found)), None)
    title = values.title(found.get("title"))
    if reader is None:
        reason = _("It is no conversation of ChatGPT, of Open WebUI or of this chat.")
        return Skipped(title=title, reason=reason, foreign=True)
    try:
        return tree.check(reader.read(found, now=now))
    except Unusable as unusable:
        return Skipped(title=title, reason=str(unusable))
