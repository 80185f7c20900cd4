"""A page of a conversation's current branch, as it is read: oldest first, the newest page first; and its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, Sum

from billing import money
from conversations.models import Conversation, Message

PAGE = 50

# Of messages their places among those beside them, by an index that has it all: the text of none is read.
_PLACES = """
SELECT message.id, (SELECT COUNT(*) FROM {beside}) AS count, (SELECT COUNT(*) FROM {beside} AND {before}) AS earlier,
    (SELECT beside.id FROM {beside} AND {before} ORDER BY beside.created_at DESC, beside.id DESC LIMIT 1) AS previous,
    (SELECT beside.id FROM {beside} AND {after} ORDER BY beside.created_at, beside.id LIMIT 1) AS next
FROM conversations_message AS message WHERE message.id IN ({ids})
"""
_BESIDE = """
conversations_message AS beside WHERE beside.conversation_id = message.conversation_id AND beside.parent_id {parent}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Where a message stands among those that share its parent: `2 / 3`; the ids beside it, None at an end."""

    number: int
    count: int
    previous: UUID | None
    next: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Messages with their usage records; `before` is the depth from which earlier ones follow, None at the start.

    `versions` has the messages of which there are several.
    """

    messages: list[Message]
    before: int | None
    versions: dict[UUID, Versions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a conversation's calls add up to: nano-dollars, calls and tokens."""

    cost: int
    held: int
    calls: int
    input_tokens: int
    output_tokens: int
    estimated: bool

    def as_json(self) -> dict[str, Any]:
        """The API's usage of a conversation."""
        return {
            "cost_usd": money.to_json(self.cost),
            "held_usd": money.to_json(self.held),
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "estimated": self.estimated,
        }


def page(*, conversation: Conversation, before: int | None = None) -> Thread:
    """The newest messages, or those above the depth `before`; two queries, however long the conversation is."""
    branch = Message.objects.filter(conversation=conversation).current().select_related("usage_record")
    if before is not None:
        branch = branch.filter(depth__lt=before)
    newest = list(branch.reverse()[:PAGE])
    newest.reverse()
    earlier = bool(newest) and newest[0].depth > 0
    return Thread(
        messages=newest,
        before=newest[0].depth if earlier else None,
        versions=_versions(newest) if newest else {},
    )


def usage(*, conversation: Conversation) -> Usage:
    """What a conversation has used, answers on other branches and its name included; one query.

    A second one where the conversation was read without its `title_record`.
    """
    record = "usage_record"
    sums = Message.objects.filter(conversation=conversation, usage_record__isnull=False).aggregate(
        cost=Sum(f"{record}__cost"),
        held=Sum(f"{record}__hold", filter=Q(usage_record__state="held")),
        calls=Count("pk"),
        input_tokens=Sum(f"{record}__input_tokens"),
        output_tokens=Sum(f"{record}__output_tokens"),
        estimates=Count("pk", filter=Q(usage_record__measured="estimated")),
    )
    name = conversation.title_record
    return Usage(
        cost=(sums["cost"] or 0) + (name.cost if name else 0),
        held=(sums["held"] or 0) + (name.hold if name and name.state == "held" else 0),
        calls=sums["calls"] + bool(name),
        input_tokens=(sums["input_tokens"] or 0) + (name.input_tokens if name else 0),
        output_tokens=(sums["output_tokens"] or 0) + (name.output_tokens if name else 0),
        estimated=bool(sums["estimates"]) or bool(name and name.measured == "estimated"),
    )


def cost(*, conversation: Conversation) -> int:
    """What all calls of a conversation have cost, in nano-dollars; as `usage`."""
    return usage(conversation=conversation).cost


def _versions(messages: Sequence[Message]) -> dict[UUID, Versions]:
    """Where each of some messages stands among its siblings, however many these are; one query."""
    roots = [message for message in messages if message.parent_id is None]
    others = [message for message in messages if message.parent_id is not None]
    parts = [(parent, some) for parent, some in (("IS NULL", roots), ("= message.parent_id", others)) if some]
    ids = [Message._meta.pk.get_db_prep_value(message.pk, connection) for _, some in parts for message in some]
    found: Any = Message.objects.raw(" UNION ALL ".join(_places(parent, len(some)) for parent, some in parts), ids)
    return {
        message.pk: Versions(
            number=message.earlier + 1,
            count=message.count,
            previous=message.previous and UUID(str(message.previous)),
            next=message.next and UUID(str(message.next)),
        )
        for message in found
        if message.count > 1
    }


def _places(parent: str, count: int) -> str:
    return _PLACES.format(
        beside=_BESIDE.format(parent=parent),
        before="(beside.created_at, beside.id) < (message.created_at, message.id)",
        after="(beside.created_at, beside.id) > (message.created_at, message.id)",
        ids=", ".join(["%s"] * count),
    )
