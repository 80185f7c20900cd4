"""What doors send: the API's objects, and the events of a reply over SSE and WebSocket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.utils.translation import gettext, gettext_noop

from accounts.requests import current_request_id
from billing import budgets, money
from conversations.blocks import Block
from conversations.log import Delta
from conversations.models import Message

ENDED = "+done"  # what follows the offset in the id of a reply's last event


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its JSON, ready to send, and what a follower must know of it without reading it.

    `blocks`: those that were finished with it, for the followers who want blocks. An event of the kind
    "blocks" has nothing else and is not sent itself.
    """

    kind: str
    message_id: str
    start: int
    end: int
    data: str
    blocks: tuple[Event, ...] = ()

    def as_hint(self) -> dict[str, Any]:
        """The form in which the channel layer carries it."""
        return {  # with each frame; `asdict`, which copies whatever it meets, takes fifteen times as long
            "kind": self.kind,
            "message_id": self.message_id,
            "start": self.start,
            "end": self.end,
            "data": self.data,
            "blocks": [block.as_hint() for block in self.blocks],
        }

    @classmethod
    def of_hint(cls, hint: dict[str, Any]) -> Event:
        """The event of which `as_hint` made that."""
        return cls(**{**hint, "blocks": tuple(cls(**block) for block in hint["blocks"])})

    @property
    def closes(self) -> bool:
        """Whether the reply has ended with it."""
        return self.kind in ("done", "error")

    @property
    def spoken(self) -> str:
        """Its JSON in the language of whoever reads it: each reader of a reply may have another one."""
        if self.kind not in ("warning", "error"):
            return self.data
        told = orjson.loads(self.data)
        place = told if self.kind == "warning" else told["error"]
        place["message"] = gettext(place["message"])
        return orjson.dumps(told).decode()

    def as_sse(self) -> bytes:
        """The form on an event stream; JSON has no raw line ends, so one data line holds it.

        The id is the end that was reached; on the closing event it says so too, so that a browser
        which connects again by itself can be told that nothing more will come. A block has none: it
        does not move the end of the text.
        """
        if self.kind == "block":
            return f"event: block\ndata: {self.data}\n\n".encode()
        place = f"{self.end}{ENDED}" if self.closes else str(self.end)
        return f"event: {self.kind}\nid: {place}\ndata: {self.spoken}\n\n".encode()


def _event(kind: str, fields: dict[str, Any], *, of: UUID | None = None, start: int = 0, end: int = 0) -> Event:
    data = orjson.dumps({"type": kind, **fields}).decode()
    return Event(kind=kind, message_id="" if of is None else str(of), start=start, end=end, data=data)


def instant(moment: datetime) -> str:
    """An instant as the API writes it, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def message_json(message: Message) -> dict[str, Any]:
    """The API's message; a reply's usage record must have been fetched with it."""
    return {
        "id": str(message.pk),
        "conversation": str(message.conversation_id),
        "parent": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "content": message.content,
        "html": message.html,
        "status": message.status,
        "finish_reason": message.finish_reason or None,
        "model": message.model or None,
        "created_at": instant(message.created_at),
        "usage": usage_json(message),
    }


def usage_json(message: Message) -> dict[str, Any] | None:
    """The API's usage; None until the call is settled."""
    record = message.usage_record
    if record is None or record.settled_at is None:
        return None
    return {
        "input_tokens": record.input_tokens,
        "cached_input_tokens": record.cached_input_tokens,
        "output_tokens": record.output_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "total_tokens": record.input_tokens + record.output_tokens,
        "cost_usd": money.to_json(record.cost),
        "estimated": record.measured == "estimated",
        "model": record.model,
    }


def started(*, reply: Message, question: Message, hold: int) -> Event:
    """A reply has begun; `hold` is the most it can cost, in nano-dollars.

    With the idempotency key of the request that it answers, where that had one: so each tab knows its own.
    """
    fields = {
        "message": message_json(reply),
        "user_message": message_json(question),
        "context": reply.context,
        "max_cost_usd": money.to_json(hold),
    }
    if reply.idempotency_key is not None:
        fields["key"] = reply.idempotency_key
    return _event("started", fields, of=reply.pk)


def delta(message_id: UUID, piece: Delta, *, blocks: Sequence[Block] = ()) -> Event:
    """A piece of a reply's text, and the blocks that it finishes."""
    fields = {"message_id": str(message_id), "start": piece.start, "end": piece.end, "content": piece.content}
    made = _event("delta", fields, of=message_id, start=piece.start, end=piece.end)
    return replace(made, blocks=tuple(block(message_id, one) for one in blocks)) if blocks else made


def block(message_id: UUID, made: Block) -> Event:
    """A finished block of a reply's text as HTML."""
    fields = {"message_id": str(message_id), "start": made.start, "end": made.end, "html": made.html}
    return _event("block", fields, of=message_id, start=made.start, end=made.end)


def blocks(message_id: UUID, made: Sequence[Block]) -> Event:
    """Blocks that took longer than the text that finished them."""
    end = made[-1].end
    told = tuple(block(message_id, one) for one in made)
    return Event(kind="blocks", message_id=str(message_id), start=end, end=end, data="", blocks=told)


def said(message: Message) -> str:
    """The sentence that says why a reply failed, in the language that is spoken; empty where none is kept."""
    kept = str((message.error or {}).get("message") or "")
    return gettext(kept) if kept else ""


# What is told of a failed answer that was brought in without its reason.
UNEXPLAINED = {
    "code": "provider_error",
    "message": gettext_noop("This answer failed. The reason was not kept."),
}

# As they stand here they go to all who follow; each is told in their own language.
WARNINGS = {
    "truncated": gettext_noop("The answer was cut off at the limit of its length."),
    "filtered": gettext_noop("The provider's content filter ended the answer."),
    "interrupted": gettext_noop(
        "The server that wrote this answer stopped in the middle of it. What had come is kept."
    ),
}


def warning_code(message: Message) -> str:
    """Why an ended reply is not whole, where it is neither stopped nor failed; empty where it is."""
    if message.status == Message.Status.INTERRUPTED:
        return "interrupted"
    return {"length": "truncated", "content_filter": "filtered"}.get(message.finish_reason, "")


def closing(message: Message, *, standing: budgets.Standing) -> list[Event]:
    """The events that end a reply: a warning where there is one, then done or error."""
    end = len(message.content)
    if message.status == Message.Status.FAILED:
        kept = {name: value for name, value in (message.error or {}).items() if name != "status" and value != ""}
        error = {**UNEXPLAINED, "request_id": current_request_id(), **kept}
        return [_event("error", {"message_id": str(message.pk), "error": error}, of=message.pk, end=end)]
    done = {"message": message_json(message), "usage": usage_json(message), "budget": standing.as_json()}
    events = [_event("done", done, of=message.pk, end=end)]
    code = warning_code(message)
    if code:
        warning = {"message_id": str(message.pk), "code": code, "message": WARNINGS[code]}
        events.insert(0, _event("warning", warning, of=message.pk, end=end))
    return events


def refusal(error: dict[str, Any], *, key: str | None = None) -> Event:
    """A request that was not granted; no reply belongs to it. `key`: the idempotency key of the send that it was."""
    told = error if key is None else {**error, "key": key}
    return _event("error", {"message_id": None, "error": told})
