"""A page of a conversation's current branch, as it is read: oldest first, the newest page first."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Sum

from conversations.models import Conversation, Message

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Messages with their usage records; `before` is the depth from which earlier ones follow, None at the start."""

    messages: list[Message]
    before: int | None


def page(*, conversation: Conversation, before: int | None = None) -> Thread:
    """The newest messages, or those above the depth `before`; one query, however long the conversation is."""
    branch = Message.objects.filter(conversation=conversation).current().select_related("usage_record")
    if before is not None:
        branch = branch.filter(depth__lt=before)
    newest = list(branch.reverse()[:PAGE])
    newest.reverse()
    earlier = bool(newest) and newest[0].depth > 0
    return Thread(messages=newest, before=newest[0].depth if earlier else None)


def cost(*, conversation: Conversation) -> int:
    """What all answers of a conversation have cost, in nano-dollars, those on other branches included; one query."""
    total = Message.objects.filter(conversation=conversation).aggregate(total=Sum("usage_record__cost"))["total"]
    return total or 0
