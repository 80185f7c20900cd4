"""Storing trees as conversations. An imported answer has no usage record: its call was not ours."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.html import format_html

from accounts.models import User
from conversations.blocks import render_by_blocks
from conversations.models import Conversation, Message, Source
from conversations.rendering import as_text
from conversations.transfer.parts import parts
from conversations.transfer.tree import Entry, Tree

BATCH = 500  # rows of one statement
MOST_CHARACTERS = 2_000_000  # of one statement, or one row
MOST_HTML = 100_000_000  # characters of one conversation's HTML, all in hand at once; what comes then is shown as text
TITLE_LENGTH = 60  # of one taken from the first question


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A conversation as it is about to be stored."""

    conversation: Conversation
    messages: list[Message]


def rows(tree: Tree, *, user: User, beat: Callable[[], object] = lambda: None) -> Rows:
    """Unsaved rows, rendered; costs the text's length. Tokens are counted when a message is first sent along.

    `beat` is called with each message, for all of them may take minutes.
    """
    conversation = Conversation(
        user=user,
        title=tree.title or _title(tree.entries),
        title_source=Conversation.TitleSource.PERSON if tree.title else "",  # it has a name; none is bought for it
        system_prompt=tree.system_prompt,
        tier=tree.tier,
        archived=tree.archived,
        pinned=tree.pinned,
        source=tree.source,
        source_id=tree.source_id,
        created_at=tree.created_at,
        updated_at=tree.updated_at,
    )
    branch = _branch(tree)
    made: dict[str, Message] = {}
    room = MOST_HTML
    for entry in tree.entries:
        parent = made[entry.parent] if entry.parent is not None else None
        html = _html(entry, as_markdown=room > 0)
        made[entry.id] = _message(entry, html, conversation, parent, current=entry.id in branch)
        room -= len(html)
        beat()
    return Rows(conversation=conversation, messages=list(made.values()))


def store(prepared: Sequence[Rows], *, user: User) -> int:
    """Store those that the user does not have yet, in the transaction that runs; how many they are."""
    known = _known(prepared, user)
    added = 0
    for item in prepared:
        conversation = item.conversation
        if (conversation.source, conversation.source_id) in known:
            continue
        try:
            with transaction.atomic():
                conversation.save(force_insert=True)
        except IntegrityError:  # twice in the file, or another import was here first
            continue
        # A statement is made as a whole, several times over.
        for some in parts(item.messages, weigh=_weight, rows=BATCH, characters=MOST_CHARACTERS):
            Message.objects.bulk_create(some)
        added += 1
    return added


def _weight(message: Message) -> tuple[int, int]:
    return 1, len(message.content) + len(message.html)


def _known(prepared: Sequence[Rows], user: User) -> set[tuple[str, str]]:
    """Which of them the user has: imported before, or, of our own, never gone."""
    ids = [item.conversation.source_id for item in prepared]
    own = [made for made in map(_uuid, ids) if made is not None]
    found = Conversation.objects.filter(user=user).filter(
        Q(source_id__in=ids) & ~Q(source="") | Q(pk__in=own, deleted_at=None)
    )
    known: set[tuple[str, str]] = set()
    for pk, source, source_id in found.values_list("pk", "source", "source_id"):
        known |= {(Source.OWN.value, str(pk)), (source, source_id)}
    return known


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _branch(tree: Tree) -> set[str]:
    """The ids on the current branch."""
    parents = {entry.id: entry.parent for entry in tree.entries}
    branch: set[str] = set()
    at = tree.current
    while at is not None:
        branch.add(at)
        at = parents[at]
    return branch


def _html(entry: Entry, *, as_markdown: bool) -> str:
    if entry.role == Message.Role.USER:
        return format_html("<p>{}</p>", entry.content)
    return render_by_blocks(entry.content) if as_markdown else as_text(entry.content)


def _message(entry: Entry, html: str, conversation: Conversation, parent: Message | None, *, current: bool) -> Message:
    return Message(
        conversation=conversation,
        parent=parent,
        depth=0 if parent is None else parent.depth + 1,
        current=current,
        role=entry.role,
        content=entry.content,
        html=html,
        status=entry.status,
        created_at=cast("datetime", entry.created_at),  # `dated` has given every entry one
        ended_at=entry.ended_at,
        tier=entry.tier,
        model=entry.model,
        finish_reason=entry.finish_reason,
        error=entry.error,
        context=entry.context,
    )


def _title(entries: Sequence[Entry]) -> str:
    first = next((entry for entry in entries if entry.role == Message.Role.USER), None)
    return " ".join(first.content[:1000].split())[:TITLE_LENGTH] if first else ""
