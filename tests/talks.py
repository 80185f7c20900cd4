"""Conversations and calls as they stand in the database, for the tests of pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import bounds, ledger, pricing
from billing.models import Price, UsageRecord
from conversations.models import Conversation, Message


def make_conversation(user: User, *, messages: int = 0, at: datetime | None = None, **fields: Any) -> Conversation:
    at = at or timezone.now()
    conversation = Conversation.objects.create(user=user, created_at=at, updated_at=at, **fields)
    made: list[Message] = []
    for depth in range(messages):
        made.append(
            Message(
                conversation=conversation,
                parent=made[-1] if made else None,
                depth=depth,
                role="assistant" if depth % 2 else "user",
                content=f"text {depth} <b>&",
                model="gpt-4o-mini" if depth % 2 else "",
                created_at=at,
            )
        )
    Message.objects.bulk_create(made, batch_size=500)
    return conversation


def make_call(user: User, price: Price, *, at: datetime, settled: bool = True, **settling: Any) -> UsageRecord:
    call = bounds.Call(user=user, feature="chat", price=price, input_tokens=1000, output_cap=500)
    with transaction.atomic():
        record = ledger.hold(call=call, now=at)
    if settled:
        defaults: dict[str, Any] = {
            "tokens": pricing.Tokens(input=1000, output=100),
            "outcome": "complete",
            "measured": "provider",
            "usage": None,
            "provider_request_id": "",
            "now": at,
        }
        ledger.settle(record=record, **{**defaults, **settling})
    return record


def reply_of(conversation: Conversation, record: UsageRecord, **fields: Any) -> Message:
    question = Message.objects.create(
        conversation=conversation, depth=0, role="user", content="Why?", created_at=record.held_at
    )
    return Message.objects.create(
        conversation=conversation,
        parent=question,
        depth=1,
        role="assistant",
        model=record.model,
        usage_record=record,
        created_at=record.held_at,
        **fields,
    )
