"""ChatGPT's export: a `mapping` of nodes, of which those that people saw are kept. Pure.

Kept are nodes of user and assistant that speak to everyone, are not hidden, and hold text. What
hangs on another node (system, tool, profile, thoughts) is hung on the nearest kept one above it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from conversations.models import Message, Source
from conversations.transfer import values
from conversations.transfer.tree import Entry, Node, Tree, dated, stand_in_id, untangle

_ROLES = {"user": Message.Role.USER, "assistant": Message.Role.ASSISTANT}
_PICTURES = {
    "image_asset_pointer": "[Image]",
    "audio_asset_pointer": "[Audio]",
    "video_container_asset_pointer": "[Video]",
}
_CITED = re.compile("\ue200[^\ue200\ue201]*\ue201")  # what ChatGPT's own page replaces by a link
_MARKS = "\ue200\u3010"


def recognises(item: dict[str, Any]) -> bool:
    """Whether a conversation is ChatGPT's."""
    return isinstance(item.get("mapping"), dict)


def read(item: dict[str, Any], *, now: datetime) -> Tree:
    """The conversation, every branch of it."""
    default_model = values.text(item.get("default_model_slug"))[:100]
    nodes: dict[str, Node] = {}
    for name, value in item["mapping"].items():
        node = values.mapping(value)
        parent = node.get("parent")
        entry = _entry(name, values.mapping(node.get("message")), default_model, now)
        nodes[name] = Node(parent=parent if isinstance(parent, str) else None, entry=entry)
    untangled = untangle(nodes)
    wanted = item.get("current_node")
    entries, created_at, updated_at = dated(
        untangled.entries,
        created_at=values.moment(item.get("create_time"), now=now),
        updated_at=values.moment(item.get("update_time"), now=now),
        now=now,
    )
    title = values.title(item.get("title"))
    return Tree(
        source=Source.CHATGPT,
        source_id=values.identifier(item.get("conversation_id"))
        or values.identifier(item.get("id"))
        or stand_in_id(title, untangled.entries),
        title=title,
        created_at=created_at,
        updated_at=updated_at,
        entries=entries,
        current=untangled.current(wanted if isinstance(wanted, str) else None),
        archived=item.get("is_archived") is True,
        pinned=item.get("is_starred") is True,
    )


def _entry(name: str, message: dict[str, Any], default_model: str, now: datetime) -> Entry | None:
    author, metadata = values.mapping(message.get("author")), values.mapping(message.get("metadata"))
    said_by = author.get("role")
    role = _ROLES.get(said_by) if isinstance(said_by, str) else None
    hidden = metadata.get("is_visually_hidden_from_conversation") is True or message.get("weight") == 0
    if role is None or hidden or message.get("recipient", "all") not in ("all", None):
        return None
    content = _content(values.mapping(message.get("content")), metadata)
    if not content.strip():
        return None
    answers = role == Message.Role.ASSISTANT
    created_at = values.moment(message.get("create_time"), now=now)
    return Entry(
        id=name,
        parent=None,
        role=role,
        content=content,
        created_at=created_at,
        ended_at=created_at if answers else None,
        model=(values.text(metadata.get("model_slug"))[:100] or default_model) if answers else "",
    )


def _content(content: dict[str, Any], metadata: dict[str, Any]) -> str:
    if content.get("content_type", "text") not in ("text", "multimodal_text"):
        return ""
    parts = [_part(part) for part in values.listed(content.get("parts"))]
    parts = [part for part in parts if part.strip()]
    if len(parts) == 1:  # the places of citations are counted in it
        parts = [_CITED.sub("", _with_citations(parts[0], metadata))]
    return "\n\n".join(parts)


def _part(part: object) -> str:
    if isinstance(part, str):
        return values.text(part)
    piece = values.mapping(part)
    kind = piece.get("content_type")
    return values.text(piece.get("text")) or (_PICTURES.get(kind, "") if isinstance(kind, str) else "")


def _with_citations(content: str, metadata: dict[str, Any]) -> str:
    """The text with links where it cites; places that mark no citation would cut into the text, and are left."""
    found: list[tuple[int, int, dict[str, Any]]] = []
    for kind, first, last in (("citations", "start_ix", "end_ix"), ("content_references", "start_idx", "end_idx")):
        for value in values.listed(metadata.get(kind)):
            citation = values.mapping(value)
            start, end = citation.get(first), citation.get(last)
            if isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(content):
                found.append((start, end, citation))
    pieces: list[str] = []
    written = 0
    for start, end, citation in sorted(found, key=lambda place: place[:2]):
        if start >= written and content[start] in _MARKS:
            pieces += [content[written:start], _link(citation)]
            written = end
    return "".join([*pieces, content[written:]])


def _link(citation: dict[str, Any]) -> str:
    written = values.text(citation.get("alt"))
    if written:
        return written
    cited = values.mapping(citation.get("metadata"))
    address, title = values.text(cited.get("url")), values.title(cited.get("title"))
    if not address.startswith(("https://", "http://")) or any(mark in address for mark in "<> \n"):
        return ""
    words = re.sub(r"[\[\]\\]", "", title) or "source"
    return f" [{words}](<{address}>)"
