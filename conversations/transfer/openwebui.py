"""Open WebUI's export: a `chat` with a `history` of messages by id. Pure.

Parents are trusted, lists of children are not: its own importer repairs them. Times are seconds,
some milliseconds; the size tells.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from conversations.models import Message, Source
from conversations.transfer import values
from conversations.transfer.tree import Entry, Node, Tree, dated, stand_in_id, untangle

_ROLES = {"user": Message.Role.USER, "assistant": Message.Role.ASSISTANT}
_DETAILS = re.compile(r"<details\b([^<>]*)>|</details>", re.IGNORECASE)
_WORKINGS = re.compile(r"""\btype\s*=\s*["']?(?:reasoning|tool_calls|code_interpreter)\b""", re.IGNORECASE)


def recognises(item: dict[str, Any]) -> bool:
    """Whether a conversation is Open WebUI's: a row of its table, or the chat alone."""
    chat = _chat(item)
    return isinstance(chat.get("history"), dict) or (chat is not item and isinstance(chat.get("messages"), list))


def read(item: dict[str, Any], *, now: datetime) -> Tree:
    """The conversation, every branch of it."""
    chat = _chat(item)
    history = values.mapping(chat.get("history"))
    nodes = _nodes(history, now) or _flat(values.listed(chat.get("messages")), now)
    untangled = untangle(nodes)
    wanted = history.get("currentId")
    entries, created_at, updated_at = dated(
        untangled.entries,
        created_at=values.moment(item.get("created_at"), now=now) or values.moment(chat.get("timestamp"), now=now),
        updated_at=values.moment(item.get("updated_at"), now=now),
        now=now,
    )
    title = values.title(item.get("title")) or values.title(chat.get("title"))
    return Tree(
        source=Source.OPEN_WEBUI,
        source_id=values.identifier(item.get("id"))
        or values.identifier(chat.get("id"))
        or stand_in_id(title, untangled.entries),
        title=title,
        created_at=created_at,
        updated_at=updated_at,
        entries=entries,
        current=untangled.current(wanted if isinstance(wanted, str) else None),
        system_prompt=values.text(values.mapping(chat.get("params")).get("system")) or values.text(chat.get("system")),
        archived=item.get("archived") is True,
        pinned=item.get("pinned") is True,
    )


def _chat(item: dict[str, Any]) -> dict[str, Any]:
    chat = item.get("chat")
    return chat if isinstance(chat, dict) else item


def _nodes(history: dict[str, Any], now: datetime) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for name, value in values.mapping(history.get("messages")).items():
        message = values.mapping(value)
        parent = message.get("parentId")
        nodes[name] = Node(parent=parent if isinstance(parent, str) else None, entry=_entry(name, message, now))
    return nodes


def _flat(messages: list[Any], now: datetime) -> dict[str, Node]:
    """A list without a tree: each message follows the one before it."""
    nodes: dict[str, Node] = {}
    for place, value in enumerate(messages):
        parent = str(place - 1) if place else None
        nodes[str(place)] = Node(parent=parent, entry=_entry(str(place), values.mapping(value), now))
    return nodes


def _entry(name: str, message: dict[str, Any], now: datetime) -> Entry | None:
    said_by = message.get("role")
    role = _ROLES.get(said_by) if isinstance(said_by, str) else None
    if role is None:
        return None
    content = _content(message.get("content"))
    answers = role == Message.Role.ASSISTANT
    if answers:
        content = without_workings(content)
        content = content if content.strip() else _output(values.listed(message.get("output")))
    if not content.strip():
        return None
    created_at = values.moment(message.get("timestamp"), now=now)
    return Entry(
        id=name,
        parent=None,
        role=role,
        content=content,
        created_at=created_at,
        ended_at=created_at if answers else None,
        model=(values.text(message.get("model")) or values.text(message.get("modelName")))[:100] if answers else "",
    )


def _content(content: object) -> str:
    if isinstance(content, list):
        return "\n\n".join(filter(str.strip, map(_part, content)))
    return values.text(content)


def _part(part: object) -> str:
    if isinstance(part, str):
        return values.text(part)
    piece = values.mapping(part)
    return "[Image]" if piece.get("type") in ("image_url", "image") else values.text(piece.get("text"))


def _output(output: list[Any]) -> str:
    """The text among the steps of an answer."""
    messages = (values.mapping(step) for step in output)
    texts = (_content(step.get("content")) for step in messages if step.get("type") == "message")
    return "\n\n".join(filter(str.strip, texts))


def without_workings(content: str) -> str:
    """An answer without the boxes of reasoning and tool calls that are written into it; one left open stays."""
    kept: list[str] = []
    written = depth = 0
    begins = 0
    for match in _DETAILS.finditer(content):
        opens = match.group(1) is not None
        if depth:
            depth += 1 if opens else -1
            if not depth:
                kept.append(content[written:begins])
                written = match.end()
        elif opens and _WORKINGS.search(match.group(1)):
            depth, begins = 1, match.start()
    kept.append(content[written:])
    return "".join(kept).strip("\n") if len(kept) > 1 else content
