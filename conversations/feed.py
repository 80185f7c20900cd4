"""What a person's other tabs and devices are told: what has changed, as it changes.

These are hints, like all that the channel layer carries: one may be lost, so a page that opens its
socket, or opens it again, first reads what it shows. Of temporary chats nothing is told but the budget.
"""

from __future__ import annotations

from typing import Any

import orjson

from billing.budgets import Standing
from conversations import hints
from conversations.events import instant
from conversations.models import Conversation, Message


def group_of(user_id: int) -> str:
    """The channel-layer group of a person's pages."""
    return f"person.{user_id}"


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """The API's conversation."""
    return {
        "id": str(conversation.pk),
        "title": conversation.title,
        "system_prompt": conversation.system_prompt,
        "tier": conversation.tier,
        "archived": conversation.archived,
        "pinned": conversation.pinned,
        "temporary": conversation.temporary,
        "created_at": instant(conversation.created_at),
        "updated_at": instant(conversation.updated_at),
    }


async def tell_conversation(conversation: Conversation, change: str) -> None:
    """A conversation was `created`, `changed`, `deleted` or `restored`."""
    await _tell_of(
        conversation, {"type": "conversation", "change": change, "conversation": conversation_json(conversation)}
    )


async def tell_branch(conversation: Conversation, leaf: Message) -> None:
    """Another branch of a conversation is the current one; it ends with `leaf`."""
    await _tell_of(conversation, {"type": "branch", "conversation": str(conversation.pk), "leaf": str(leaf.pk)})


async def tell_reply(conversation: Conversation, message: Message) -> None:
    """A reply has begun, or has ended: its status says which."""
    said = {"type": "reply", "conversation": conversation_json(conversation), "message_id": str(message.pk)}
    await _tell_of(conversation, {**said, "status": message.status})


async def tell_budget(user_id: int, standing: Standing) -> None:
    """What is left has changed."""
    await _tell(user_id, {"type": "budget", "budget": standing.as_json()})


async def _tell_of(conversation: Conversation, event: dict[str, Any]) -> None:
    if not conversation.temporary:
        await _tell(conversation.user_id, event)


async def _tell(user_id: int, event: dict[str, Any]) -> None:
    await hints.announce(group_of(user_id), {"data": orjson.dumps(event).decode()})
