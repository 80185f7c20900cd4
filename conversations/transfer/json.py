"""A conversation as JSON, the whole tree; `own` reads it in again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from conversations import branch
from conversations.events import instant, usage_json
from conversations.models import Conversation, Message
from conversations.transfer import pages
from conversations.transfer.own import FORMAT, VERSION

CONTENT_TYPE = "application/json"


def document(conversation: Conversation) -> Iterator[bytes]:
    """A file of one conversation, in pieces; each takes one short query at most."""
    yield b'{"format":%b,"version":%d,"conversations":[' % (orjson.dumps(FORMAT), VERSION)
    tip = branch.tip(conversation)
    head = orjson.dumps(_head(conversation, tip))
    yield head.removesuffix(b"}") + b',"messages":['
    separator = b"\n"
    for message in pages.whole_tree(conversation):
        yield separator + orjson.dumps(_message(message))
        separator = b",\n"
    yield b"]}\n]}\n"


def _head(conversation: Conversation, tip: Message | None) -> dict[str, Any]:
    return {
        "id": str(conversation.pk),
        "title": conversation.title,
        "system_prompt": conversation.system_prompt,
        "tier": conversation.tier,
        "archived": conversation.archived,
        "pinned": conversation.pinned,
        "source": conversation.source or None,
        "source_id": conversation.source_id or None,
        "created_at": instant(conversation.created_at),
        "updated_at": instant(conversation.updated_at),
        "current": str(tip.pk) if tip else None,
    }


def _message(message: Message) -> dict[str, Any]:
    error = message.error
    return {
        "id": str(message.pk),
        "parent": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "content": message.content,
        "status": message.status,
        "finish_reason": message.finish_reason or None,
        "model": message.model or None,
        "tier": message.tier or None,
        "created_at": instant(message.created_at),
        "ended_at": instant(message.ended_at) if message.ended_at else None,
        "error": {"code": error.get("code"), "message": error.get("message")} if error else None,
        "context": message.context,
        "usage": usage_json(message),
    }
