"""A conversation's messages in pages, for what writes them out: no cursor stays open between two pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

from accounts.models import User
from conversations.models import Conversation, Message

PAGE = 50  # as many are in hand while a reader takes their time
NAME_LENGTH = 60


def whole_tree(conversation: Conversation) -> Iterator[Message]:
    """Every message of every branch, with its usage record, the oldest first."""
    last = None
    while True:
        found = Message.objects.filter(conversation=conversation).select_related("usage_record").defer("html")
        found = found if last is None else found.filter(pk__gt=last)
        page = list(found.order_by("pk")[:PAGE])
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].pk


def current_branch(conversation: Conversation) -> Iterator[Message]:
    """The current branch, the oldest first."""
    depth = -1
    while True:
        found = Message.objects.filter(conversation=conversation, depth__gt=depth).current().defer("html")
        page = list(found[:PAGE])
        yield from page
        if len(page) < PAGE:
            return
        depth = page[-1].depth


def conversations(user: User) -> Iterator[Conversation]:
    """All of a user's conversations that hold text, the oldest first."""
    last = None
    while True:
        found = Conversation.objects.of(user).filter(deleted_at=None, temporary=False)
        found = found if last is None else found.filter(pk__gt=last)
        page = list(found.order_by("pk")[:PAGE])
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].pk


def file_name(conversation: Conversation) -> str:
    """A name for a file of it, without an ending: day, title, and what tells it from all others."""
    words = re.sub(r"[^\w-]+", " ", conversation.title).strip()[:NAME_LENGTH].strip() or "Untitled"
    return f"{conversation.created_at.astimezone(UTC):%Y-%m-%d} {words} {str(conversation.pk)[-8:]}"
