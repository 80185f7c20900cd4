"""A conversation of any origin, between its file and our tables. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from conversations.models import LONGEST_SYSTEM_PROMPT, Message, Source, Tier

MOST_MESSAGES = 20_000  # of one conversation
LONGEST_MESSAGE = 1_000_000  # characters, as for a message that is sent
MOST_CHARACTERS = 20_000_000  # of all messages of one conversation, which are stored, and rendered, together


class Unusable(Exception):
    """A conversation that cannot be taken; its sentence tells its owner why. The others of its file can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message. `parent` is another entry's id; None at a root. Without a time of its own it gets a neighbour's."""

    id: str
    parent: str | None
    role: str
    content: str
    created_at: datetime | None = None
    model: str = ""
    tier: str = ""
    status: str = Message.Status.COMPLETE
    finish_reason: str = ""
    ended_at: datetime | None = None
    error: dict[str, Any] | None = None
    context: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A conversation: every entry after its parent; `current` is the last one of the current branch."""

    source: Source
    source_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    entries: tuple[Entry, ...]
    current: str | None
    system_prompt: str = ""
    tier: str = Tier.FAST
    archived: bool = False
    pinned: bool = False

    @property
    def characters(self) -> int:
        """The length of all its text."""
        return len(self.system_prompt) + sum(len(entry.content) for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A place in a foreign tree; `entry` is None where it holds nothing to keep."""

    parent: str | None
    entry: Entry | None


@dataclass(slots=True)
class Untangled:
    """Entries with parents that exist, each after its parent; `nearest` leads from any node to what is kept of it."""

    entries: list[Entry] = field(default_factory=list)
    nearest: dict[str, str | None] = field(default_factory=dict)

    def current(self, wanted: str | None) -> str | None:
        """The kept entry nearest to the node that the file calls current; else the newest leaf."""
        found = self.nearest.get(wanted) if wanted is not None else None
        return found if found is not None else self.newest_leaf()

    def newest_leaf(self) -> str | None:
        """The leaf written last; of several the one that comes last in the file."""
        parents = {entry.parent for entry in self.entries}
        leaves = [(entry.created_at, place, entry.id) for place, entry in enumerate(self.entries)]
        newest = max(
            (leaf for leaf in leaves if leaf[2] not in parents),
            key=lambda leaf: (leaf[0].timestamp() if leaf[0] else 0.0, leaf[1]),
            default=None,
        )
        return newest[2] if newest else None


def untangle(nodes: Mapping[str, Node]) -> Untangled:
    """Hang what is kept on its nearest kept ancestor. A parent that does not exist, or a circle, makes a root.

    Costs the number of nodes; their depth does not matter.
    """
    made = Untangled()
    for start in nodes:
        path: list[str] = []
        walked: set[str] = set()
        at: str | None = start
        while at is not None and at in nodes and at not in made.nearest and at not in walked:
            path.append(at)
            walked.add(at)
            at = nodes[at].parent
        above = made.nearest.get(at) if at is not None else None
        for name in reversed(path):
            entry = nodes[name].entry
            if entry is not None:
                made.entries.append(replace(entry, parent=above))
                above = entry.id
            made.nearest[name] = above
    return made


def dated(
    entries: Iterable[Entry], *, created_at: datetime | None, updated_at: datetime | None, now: datetime
) -> tuple[tuple[Entry, ...], datetime, datetime]:
    """Give every entry a time, its parent's where it has none; and the conversation its first and last."""
    listed = list(entries)
    known = [entry.created_at for entry in listed if entry.created_at is not None]
    first = created_at or min(known, default=None) or updated_at or now
    times: dict[str, datetime] = {}
    for entry in listed:
        times[entry.id] = entry.created_at or times.get(entry.parent or "", first)
    last = updated_at or max(times.values(), default=first)
    return tuple(replace(entry, created_at=times[entry.id]) for entry in listed), first, last


def check(tree: Tree) -> Tree:
    """The tree, if it can be stored. Raises Unusable."""
    if not tree.entries and tree.source != Source.OWN:
        raise Unusable(_("It holds no message of a person or an assistant."))
    if len(tree.entries) > MOST_MESSAGES:
        raise Unusable(_("It holds more than %(most)s messages.") % {"most": f"{MOST_MESSAGES:,}"})
    if any(len(entry.content) > LONGEST_MESSAGE for entry in tree.entries):
        raise Unusable(_("One of its messages is longer than %(most)s characters.") % {"most": f"{LONGEST_MESSAGE:,}"})
    if len(tree.system_prompt) > LONGEST_SYSTEM_PROMPT:
        raise Unusable(
            _("Its system prompt is longer than %(most)s characters.") % {"most": f"{LONGEST_SYSTEM_PROMPT:,}"}
        )
    if tree.characters > MOST_CHARACTERS:
        raise Unusable(_("It holds more than %(most)s characters.") % {"most": f"{MOST_CHARACTERS:,}"})
    return tree


def stand_in_id(title: str, entries: Iterable[Entry]) -> str:
    """An id for a conversation that has none: the same for the same conversation."""
    digest = hashlib.sha256(title.encode())
    for entry in entries:
        digest.update(f"\x00{entry.role}\x00{entry.created_at}\x00{entry.content}".encode())
    return f"sha256:{digest.hexdigest()}"
