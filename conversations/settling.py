"""Settle: end a reply in the database, once: its text, its status and its cost in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from accounts.errors import AWAY
from accounts.statements import Statement, columns, loaded, make_safe, run, update
from billing import budgets, ledger
from conversations import blocks, events, feed, hints, log, metrics, usage
from conversations.events import Event
from conversations.models import Conversation, Message
from conversations.tokens import tokenizer

logger = logging.getLogger(__name__)

_CONVERSATION = f"""
SELECT {columns(Conversation, "conversation")} FROM conversations_conversation AS conversation WHERE id = %s
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


def end(*, message: Message, owner: UUID, ending: Ending, now: datetime) -> Ended | None:
    """End a reply, as it was when it was held or as `running` found it; None, and nothing changed, where it is not
    running any more or `owner` does not hold its lease. Done again, because no answer came, it is what was done.
    """
    record = message.usage_record
    if record is None:
        return None
    words = tokenizer(record.held_price.tokenizer)
    fields = {
        "status": ending.status,
        "content": ending.text,
        # This and counting take a while, so before any lock.
        "html": blocks.render_by_blocks(ending.text) if ending.html is None else ending.html,
        "token_count": words.count(ending.text),
        "tokenizer": words.name,
        "finish_reason": ending.finish_reason,
        "error": ending.error,
        "ended_at": now,
        "lease_owner": None,
        "lease_expires_at": None,
    }
    mine = "id = %s AND status = 'generating' AND lease_owner = %s"
    claim = update(Message, fields, where=mine, params=[message.pk, owner], must=True)
    try:
        settle(record, ending, now, claim=[claim])
    except ledger.AlreadyEnded:
        if not _was_this(message, ending, now):
            return None
        make_safe()  # before its log, which has the text too, is thrown away
        record.refresh_from_db()
    # As it is now: it may have been given another name meanwhile.
    conversation, standings = run(
        Statement(_CONVERSATION, [message.conversation_id]), budgets.reading(user=record.user, now=now)
    )
    message.conversation = loaded(Conversation, conversation.rows[0])
    message.conversation.user = record.user
    for name, value in fields.items():
        setattr(message, name, value)
    metrics.REPLIES.labels(status=ending.status).inc()
    left = budgets.tightest(budgets.standings(user=record.user, now=now, answer=standings))
    return Ended(message, left)


def _was_this(message: Message, ending: Ending, now: datetime) -> bool:
    """Whether a reply has ended in this very way: it was committed, but the answer was lost."""
    ended = Message.objects.filter(pk=message.pk, status=ending.status, ended_at=now)
    return ended.values_list("content", flat=True).first() == ending.text


def running(message_id: UUID, owner: UUID) -> Message | None:
    """A reply that runs under a lease of `owner`, with its usage record."""
    found = Message.objects.generating().filter(pk=message_id, lease_owner=owner)
    return found.select_related("usage_record__price", "usage_record__user").first()


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
    await asyncio.gather(
        _announce(message.conversation_id, events.closing(message, standing=left)),
        feed.tell_reply(message.conversation, message),
        feed.tell_budget(message.conversation.user_id, left),
    )
    try:
        await log.home().close(message.pk)  # last: a log that is away keeps nobody waiting, and goes by itself
    except AWAY as error:
        logger.warning("the log of a reply that has ended was left: %s", type(error).__name__)


async def _announce(conversation_id: UUID, told: Sequence[Event]) -> None:
    for event in told:
        await hints.announce_event(conversation_id, event)


def settle(record: ledger.UsageRecord, ending: Ending, now: datetime, *, claim: Sequence[Statement] = ()) -> None:
    """End a call's record as the call ended: by the provider's usage, by a count, or for nothing.

    `claim`: as of `ledger.settle`. Raises AlreadyEnded.
    """
    tokens = usage.measured(ending.usage)
    if tokens is not None and not tokens.output and ending.text:
        tokens = None  # what was said took tokens: a server that says none has not counted
    if tokens is None and not ending.billed and not ending.text:
        ledger.release(
            record=record, outcome=ending.status, provider_request_id=ending.request_id, now=now, claim=claim
        )
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
        claim=claim,
    )
