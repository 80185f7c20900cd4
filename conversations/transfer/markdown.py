"""A conversation as Markdown: its current branch, as it reads on the page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from conversations.models import Conversation, Message
from conversations.transfer import pages

CONTENT_TYPE = "text/markdown; charset=utf-8"
_ENDS = {
    Message.Status.GENERATING: "This answer was still being written.",
    Message.Status.STOPPED: "This answer was stopped.",
    Message.Status.INTERRUPTED: "This answer was interrupted.",
    Message.Status.FAILED: "This answer failed.",
}


def document(conversation: Conversation) -> Iterator[bytes]:
    """A file of one conversation, in pieces; each takes one short query at most."""
    yield f"# {conversation.title or 'Untitled'}\n\n{_time(conversation.created_at)}\n".encode()
    if conversation.system_prompt:
        lines = "\n".join(f"> {line}" for line in conversation.system_prompt.splitlines())
        yield f"\n> **System prompt**\n>\n{lines}\n".encode()
    for message in pages.current_branch(conversation):
        yield _message(message).encode()


def _message(message: Message) -> str:
    who = "You" if message.role == Message.Role.USER else "Assistant"
    by = f" ({message.model})" if message.model else ""
    content = message.content.strip("\n")
    end = _ENDS.get(Message.Status(message.status))
    note = f"\n*{end}*\n" if end else ""
    return f"\n## {who}{by}, {_time(message.created_at)}\n\n{content}\n{note}"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
