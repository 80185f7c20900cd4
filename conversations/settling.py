"""Settle: end a reply in the database, once: its text, its status and its cost in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import transaction

from accounts.models import User
from accounts.statements import Statement, columns, loaded_each, run, update
from billing import budgets, ledger
from billing.prices import Price
from conversations import events, feed, hints, log, metrics, rendering, usage
from conversations.events import Event
from conversations.models import Conversation, Message
from conversations.tokens import tokenizer

_PARTS = (Message, ledger.UsageRecord, Price, Conversation, User)
_RUNNING = f"""
SELECT {", ".join(map(columns, _PARTS, ("message", "record", "price", "conversation", "person")))}
FROM conversations_message AS message
JOIN conversations_conversation AS conversation ON conversation.id = message.conversation_id
JOIN accounts_user AS person ON person.id = conversation.user_id
JOIN billing_usagerecord AS record ON record.id = message.usage_record_id
JOIN billing_price AS price ON price.id = record.price_id
WHERE message.id = %s AND message.status = 'generating' AND message.lease_owner = %s
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a reply ended. `html`: its text rendered, where that was done already; `billed`: the provider may charge."""

    status: str
    text: str
    html: str | None = None
    finish_reason: str = ""
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = field(default=None)
    request_id: str = ""
    billed: bool = True


class Ended(NamedTuple):
    """A reply that has just ended, with its usage record, conversation and user; what that user has left."""

    message: Message
    left: budgets.Standing


def end(*, message_id: UUID, owner: UUID, ending: Ending, now: datetime) -> Ended | None:
    """End the reply, if it still runs and `owner` holds its lease; None, and nothing changed, where not."""
    message = _running(message_id, owner)
    if message is None or message.usage_record is None:
        return None
    words = tokenizer(message.usage_record.held_price.tokenizer)
    fields = {
        "status": ending.status,
        "content": ending.text,
        # This and counting take a while, so before any lock.
        "html": rendering.render(ending.text) if ending.html is None else ending.html,
        "token_count": words.count(ending.text),
        "tokenizer": words.name,
        "finish_reason": ending.finish_reason,
        "error": ending.error,
        "ended_at": now,
        "lease_owner": None,
        "lease_expires_at": None,
    }
    with transaction.atomic(durable=True):
        claim = "id = %s AND status = 'generating' AND lease_owner = %s"
        if not run(update(Message, fields, where=claim, params=[message_id, owner]))[0].number:
            return None
        settle(message.usage_record, ending, now)
    for name, value in fields.items():
        setattr(message, name, value)
    metrics.REPLIES.labels(status=ending.status).inc()
    return Ended(message, standing(message, now=now))


def _running(message_id: UUID, owner: UUID) -> Message | None:
    """A reply that runs under a lease of `owner`, with its usage record, conversation and user."""
    rows = run(Statement(_RUNNING, [message_id, owner]))[0].rows
    if not rows:
        return None
    message, record, price, conversation, user = loaded_each(rows[0], *_PARTS)
    message.usage_record, message.conversation = record, conversation
    record.price, conversation.user = price, user
    return cast(Message, message)


def closing(message_id: UUID, *, now: datetime) -> list[Event]:
    """The events that tell of an ended reply, with what its user has left."""
    message = Message.objects.select_related("usage_record", "conversation__user").get(pk=message_id)
    return events.closing(message, standing=standing(message, now=now))


def standing(message: Message, *, now: datetime) -> budgets.Standing:
    """The tightest budget of the user whose message it is."""
    return budgets.tightest(budgets.standings(user=message.conversation.user, now=now))


async def tell_end(ended: Ended) -> None:
    """Throw an ended reply's log away and tell everyone who follows it."""
    message, left = ended
    for event in events.closing(message, standing=left):
        await hints.announce_event(message.conversation_id, event)
    await log.home().close(message.pk)
    await feed.tell_reply(message.conversation, message)
    await feed.tell_budget(message.conversation.user_id, left)


def settle(record: ledger.UsageRecord, ending: Ending, now: datetime) -> None:
    """End a call's record as the call ended: by the provider's usage, by a count, or for nothing."""
    tokens = usage.measured(ending.usage)
    if tokens is not None and not tokens.output and ending.text:
        tokens = None  # what was said took tokens: a server that says none has not counted
    if tokens is None and not ending.billed and not ending.text:
        ledger.release(record=record, outcome=ending.status, provider_request_id=ending.request_id, now=now)
        return
    measured = "estimated" if tokens is None else "provider"
    ledger.settle(
        record=record,
        tokens=tokens
        or usage.estimated(
            input_bound=record.input_bound,
            text=ending.text,
            output_cap=record.output_cap,
            tokenizer=tokenizer(record.held_price.tokenizer),
        ),
        outcome=ending.status,
        measured=measured,
        usage=ending.usage,
        provider_request_id=ending.request_id,
        now=now,
    )
