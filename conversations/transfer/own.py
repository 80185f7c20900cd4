"""Our own JSON, as `json` writes it: what goes out comes in again without a loss. Pure.

Usage records stay where the calls were made: an imported answer has none.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from conversations.events import UNEXPLAINED
from conversations.models import Message, Source, Tier
from conversations.transfer import values
from conversations.transfer.tree import Entry, Node, Tree, Unusable, dated, untangle

FORMAT = "company-chat"
VERSION = 1


def recognises(item: dict[str, Any]) -> bool:
    """Whether a conversation is one of ours."""
    return "current" in item and "system_prompt" in item and isinstance(item.get("messages"), list)


def read(item: dict[str, Any], *, now: datetime) -> Tree:
    """The conversation, every branch of it. Raises Unusable."""
    source_id = values.identifier(item.get("id"))
    if source_id is None:
        raise Unusable(_("It has no id."))
    nodes = _nodes(item["messages"], now)
    untangled = untangle(nodes)
    entries, created_at, updated_at = dated(
        untangled.entries,
        created_at=values.moment(item.get("created_at"), now=now),
        updated_at=values.moment(item.get("updated_at"), now=now),
        now=now,
    )
    origin, origin_id = _choice(item.get("source"), Source.values), values.identifier(item.get("source_id"))
    return Tree(
        source=Source(origin) if origin and origin_id else Source.OWN,
        source_id=origin_id if origin and origin_id else source_id,
        title=values.text(item.get("title"))[: values.TITLE_LENGTH],
        created_at=created_at,
        updated_at=updated_at,
        entries=entries,
        current=untangled.current(values.identifier(item.get("current"))),
        system_prompt=values.text(item.get("system_prompt")),
        tier=_choice(item.get("tier"), Tier.values) or Tier.FAST,
        archived=item.get("archived") is True,
        pinned=item.get("pinned") is True,
    )


def _nodes(messages: list[Any], now: datetime) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for value in messages:
        message = values.mapping(value)
        name = values.identifier(message.get("id"))
        if name is None or message.get("role") not in Message.Role.values:
            raise Unusable(_("One of its messages has no id or no role."))
        if name in nodes:
            raise Unusable(_("Two of its messages have the same id."))
        nodes[name] = Node(parent=values.identifier(message.get("parent")), entry=_entry(name, message, now))
    return nodes


def _entry(name: str, message: dict[str, Any], now: datetime) -> Entry:
    if not isinstance(message.get("content"), str):
        raise Unusable(_("The content of one of its messages is no text."))
    entry = Entry(
        id=name,
        parent=None,
        role=message["role"],
        content=values.text(message["content"]),
        created_at=values.moment(message.get("created_at"), now=now),
    )
    if entry.role == Message.Role.USER:
        return entry
    status = _choice(message.get("status"), Message.Status.values) or Message.Status.COMPLETE
    return Entry(
        id=entry.id,
        parent=None,
        role=entry.role,
        content=entry.content,
        created_at=entry.created_at,
        ended_at=values.moment(message.get("ended_at"), now=now) or entry.created_at,
        model=values.text(message.get("model"))[:100],
        tier=_choice(message.get("tier"), Tier.values),
        status=Message.Status.INTERRUPTED if status == Message.Status.GENERATING else status,
        finish_reason=values.text(message.get("finish_reason"))[:40],
        error=_error(message.get("error"), failed=status == Message.Status.FAILED),
        context=_context(message.get("context")),
    )


def _choice(value: object, choices: list[str]) -> str:
    return value if isinstance(value, str) and value in choices else ""


def _error(value: object, *, failed: bool) -> dict[str, Any] | None:
    """The code and the sentence of a failure; who follows a failed answer is told some."""
    error = values.mapping(value)
    sentence = values.text(error.get("message"))[:1000] or (UNEXPLAINED["message"] if failed else "")
    code = values.text(error.get("code"))[:40] or UNEXPLAINED["code"]
    return {"code": code, "message": sentence, "status": 502} if sentence else None


def _context(value: object) -> dict[str, int] | None:
    context = values.mapping(value)
    names = ("prompt_tokens", "limit", "included_messages", "dropped_messages")
    if not all(isinstance(context.get(name), int) for name in names):
        return None
    return {name: int(context[name]) for name in names}
