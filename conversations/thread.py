"""A page of a conversation's current branch, as it is read: oldest first, the newest page first; and its cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from billing import money
from conversations.models import Conversation, Message

PAGE = 50


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
        versions=_versions(conversation, newest) if newest else {},
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


def _versions(conversation: Conversation, messages: Iterable[Message]) -> dict[UUID, Versions]:
    """Where each message stands among its siblings; one query, which reads those alone."""
    parents = [message.parent_id for message in messages]
    beside = Q(parent__in=[parent for parent in parents if parent is not None])
    if None in parents:
        beside |= Q(conversation=conversation, parent=None)
    families: dict[UUID | None, list[UUID]] = {}
    for parent, pk in Message.objects.filter(beside).order_by("created_at", "pk").values_list("parent_id", "pk"):
        families.setdefault(parent, []).append(pk)
    found = {}
    for message in messages:
        family = families[message.parent_id]
        if len(family) > 1:
            place = family.index(message.pk)
            found[message.pk] = Versions(
                number=place + 1,
                count=len(family),
                previous=family[place - 1] if place else None,
                next=family[place + 1] if place + 1 < len(family) else None,
            )
    return found
