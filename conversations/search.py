"""Searching one's own conversations: titles and texts, on every branch, with the hit shown."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from accounts.models import User
from conversations import sidebar, words
from conversations.models import Conversation, ConversationQuerySet, Message

PAGE = 20
BEFORE, SHOWN = 60, 220  # characters of a text that are shown before its hit, and in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a text that is shown; `hit`: it is what was searched for."""

    text: str
    hit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A conversation that was found: its title, and of its newest message that has the words, the place."""

    conversation: Conversation
    title: list[Part]
    message: Message | None
    text: list[Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of hits; `before` leads to the next, empty at the end."""

    hits: list[Hit]
    before: str


def having(found: ConversationQuerySet, text: str, *, user: User) -> ConversationQuerySet:
    """Of a user's conversations those with the words in their title or text; all where there are no words.

    A word is found by its beginning. Case does not matter, accents do.
    """
    wanted = words.of(text)
    return found.filter(pk__in=words.conversations_with(wanted, user_id=user.pk)) if wanted else found


def find(*, user: User, text: str, before: str = "") -> Found:
    """What a user's search finds, the conversation used last first; three queries, and only what is hit is read.

    `before` is the cursor of an earlier page; one that does not fit is ignored.
    """
    wanted = words.of(text)
    if not wanted:
        return Found(hits=[], before="")
    own = Conversation.objects.of(user).filter(temporary=False)
    page = list(having(own, text, user=user).filter(sidebar.below(before)).order_by("-updated_at", "-id")[: PAGE + 1])
    shown = page[:PAGE]
    newest = words.newest_messages(wanted, user_id=user.pk, within=[conversation.pk for conversation in shown])
    messages = {message.conversation_id: message for message in Message.objects.filter(pk__in=newest.values())}
    return Found(
        hits=[_hit(conversation, messages.get(conversation.pk), wanted) for conversation in shown],
        before=sidebar.cursor(shown[-1]) if len(page) > PAGE else "",
    )


def marked(text: str, wanted: Collection[str]) -> list[Part]:
    """A text in parts, those marked that begin with a word that is wanted."""
    parts = re.split(_words(wanted), text)
    return [Part(text=part, hit=bool(place % 2)) for place, part in enumerate(parts) if part]


def _hit(conversation: Conversation, message: Message | None, wanted: Collection[str]) -> Hit:
    return Hit(
        conversation=conversation,
        title=marked(conversation.title, wanted),
        message=message,
        text=[] if message is None else marked(_around(message.content, wanted), wanted),
    )


def _around(content: str, wanted: Collection[str]) -> str:
    """The part of a text around its first hit, on one line, cut between words."""
    place = re.search(_words(wanted), content)
    start = max(0, min((place.start() if place else 0) - BEFORE, len(content) - SHOWN))
    end = start + SHOWN
    shown = " ".join(content[start:end].split())
    if start:
        cut, _, rest = shown.partition(" ")
        shown = "…" + (rest if rest and len(cut) < BEFORE else shown)
    return shown if end >= len(content) else (shown.rpartition(" ")[0] or shown) + "…"


def _words(wanted: Collection[str]) -> Any:
    longest_first = sorted(wanted, key=len, reverse=True)
    return re.compile(rf"(?<![^\W_])((?:{'|'.join(map(re.escape, longest_first))})[^\W_]*)", re.IGNORECASE)
