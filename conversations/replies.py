"""The road: from a user's text to a stored, billed answer. Every door takes it.

admit → fit → hold (here, in `_begin`) → generate (`generation`) → settle (`settling`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import cast
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction
from django.utils.html import format_html

from accounts.errors import InvalidRequest, NotFound, Refusal
from accounts.models import User
from billing import enforcement, ledger, prices
from billing.prices import Price
from conversations import branch, context, events, hints, leases, limits, provider
from conversations.events import Event
from conversations.generation import Order, Writer
from conversations.models import Conversation, Message, Tier
from conversations.pool import in_database
from conversations.tokens import Tokenizer, tokenizer

LONGEST_MESSAGE = 1_000_000  # characters; the token limit is lower, but counting takes time
LONGEST_KEY = 255
TITLE_LENGTH = 60


class ReplyInProgress(Refusal):
    """The conversation's last answer is still being written."""

    code, status = "reply_in_progress", 409


class IdempotencyConflict(Refusal):
    """The idempotency key stands for another request."""

    code, status = "idempotency_conflict", 409


class Parent(Enum):
    """Where a message goes when its place is not named."""

    TIP = "at the end of the current branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A user's request for a reply: to a new message, or again to the question `regenerate`."""

    user: User
    address: str
    conversation_id: UUID
    content: str = ""
    tier: str | None = None
    parent: UUID | Parent | None = Parent.TIP
    regenerate: UUID | None = None
    key: str | None = None

    def fingerprint(self) -> str:
        """SHA-256 of what is asked for, without who asks and when."""
        asked = [self.content, self.tier, str(self.parent), str(self.regenerate)]
        return hashlib.sha256(orjson.dumps(asked)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A reply that runs, or ran: `created` is False where an earlier request with the same key made it."""

    message: Message
    started: Event
    created: bool
    allowance: limits.Allowance | None = None


async def send(request: Send, *, clock: Callable[[], datetime]) -> Begun:
    """Take the road: admit, fit and hold; then a task of its own generates and settles.

    Raises a Refusal, with nothing changed, where the request is not granted.
    """
    owner = leases.owner()
    begun, order = await in_database(_begin, request, owner.id, clock())
    if order is not None:
        await hints.announce_event(order.conversation_id, begun.started)
        _running.add(task := Writer(order, owner, clock).start())
        task.add_done_callback(_running.discard)
    return begun


async def stop(*, user: User, message_id: UUID, now: datetime) -> Message:
    """Stop a reply; returns its message once the upstream is closed and what it had is settled."""
    message = await in_database(_ask_stop, user, message_id, now)
    async with hints.Feed(hints.group_of(message.conversation_id)) as feed:
        if message.lease_owner is not None:
            await leases.tell_stop(owner_id=message.lease_owner, message_id=message_id)
        async with asyncio.timeout(leases.LEASE.total_seconds() + leases.RENEW_SECONDS):
            while not message.ended:
                hint = await feed.event(timeout=1.0)
                if hint is None or (hint.message_id == str(message_id) and hint.kind in ("done", "error")):
                    message = await in_database(own_message, user, message_id)
    return message


def own_conversation(user: User, conversation_id: UUID) -> Conversation:
    """A conversation of the user's own; NotFound for any other."""
    conversation = Conversation.objects.of(user).filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    return conversation


def own_message(user: User, message_id: UUID) -> Message:
    """A message of the user's own, with its usage record; NotFound for any other."""
    message = Message.objects.of(user).select_related("usage_record").filter(pk=message_id).first()
    if message is None:
        raise NotFound
    return message


_running: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references


def _ask_stop(user: User, message_id: UUID, now: datetime) -> Message:
    message = own_message(user, message_id)
    if not message.ended:
        Message.objects.generating().filter(pk=message_id).update(stop_requested_at=now)
    return message


def _begin(request: Send, owner_id: UUID, now: datetime) -> tuple[Begun, Order | None]:
    conversation = own_conversation(request.user, request.conversation_id)
    _check_form(request)
    earlier = _earlier(request, conversation)
    if earlier is not None:
        return earlier, None
    tier = request.tier or conversation.tier
    allowance = _admit(request, conversation, tier, now)
    price = prices.in_force(model=settings.CHAT_MODELS[tier], now=now)
    with transaction.atomic(durable=True):
        enforcement.check_account(user=request.user, now=now)  # locks it: one user's sends come one by one
        earlier = _earlier(request, conversation)
        if earlier is not None:
            return earlier, None
        _check_running(request.user, conversation)
        reply, question, fitted = _place(request, conversation, price, tier, now)
        record = ledger.hold(
            call=ledger.Call(
                user=request.user,
                feature="chat",
                price=price,
                input_tokens=fitted.prompt_tokens,
                output_cap=settings.CHAT_MAX_OUTPUT_TOKENS,
                key_fingerprint=provider.key_fingerprint(),
            ),
            now=now,
        )
        reply.usage_record = record
        reply.lease_owner, reply.lease_expires_at = owner_id, now + leases.LEASE
        reply.save(force_insert=True)
    begun = Begun(
        message=reply,
        started=events.started(reply=reply, question=question, hold=record.hold),
        created=True,
        allowance=allowance,
    )
    order = Order(
        message_id=reply.pk,
        conversation_id=conversation.pk,
        request=provider.Request(
            model=price.model,
            messages=fitted.as_messages(),
            output_cap=record.output_cap,
            takes_temperature=price.takes_temperature,
        ),
    )
    return begun, order


def _check_form(request: Send) -> None:
    fields: dict[str, list[str]] = {}
    if request.regenerate is None and not request.content.strip():
        fields["content"] = ["Write a message first."]
    if len(request.content) > LONGEST_MESSAGE:
        fields["content"] = [f"At most {LONGEST_MESSAGE:,} characters."]
    if "\x00" in request.content:
        fields["content"] = ["The message holds a character (U+0000) that cannot be stored."]
    if request.tier is not None and request.tier not in Tier.values:
        fields["tier"] = ["Either fast or smart."]
    if request.key is not None and not 0 < len(request.key) <= LONGEST_KEY:
        fields["key"] = [f"Between 1 and {LONGEST_KEY} characters."]
    if fields:
        raise InvalidRequest("The message cannot be sent as it is; see `fields`.", fields=fields)


def _earlier(request: Send, conversation: Conversation) -> Begun | None:
    """What an earlier request with the same key made."""
    if request.key is None:
        return None
    replies = conversation.messages.select_related("usage_record", "parent")
    reply = replies.filter(idempotency_key=request.key).first()
    if reply is None:
        return None
    if reply.fingerprint != request.fingerprint():
        raise IdempotencyConflict(
            "This idempotency key was used for another message. Send the new one with a new key.",
            message_id=str(reply.pk),
        )
    question, record = cast(Message, reply.parent), cast(ledger.UsageRecord, reply.usage_record)
    started = events.started(reply=reply, question=question, hold=record.hold)
    return Begun(message=reply, started=started, created=False)


def _admit(request: Send, conversation: Conversation, tier: str, now: datetime) -> limits.Allowance:
    """The limits that can be looked at without a lock, the counting one last: a refusal uses up nothing."""
    state = enforcement.account_state(user=request.user, now=now)
    if state.disabled:
        raise state.refusal()
    _check_running(request.user, conversation)
    return limits.take(user=request.user, address=request.address, tier=tier)


def _check_running(user: User, conversation: Conversation) -> None:
    running = Message.objects.generating().of(user).values_list("pk", "conversation_id")
    replies = dict(running[: settings.CHAT_REPLIES_AT_ONCE + 1])
    for message_id, conversation_id in replies.items():
        if conversation_id == conversation.pk:
            raise ReplyInProgress(
                "The answer before this one is still being written. Wait for it, or stop it.",
                message_id=str(message_id),
            )
    if len(replies) >= settings.CHAT_REPLIES_AT_ONCE:
        raise limits.RateLimited(
            f"{len(replies)} answers are being written for you, and more at once are not. Wait for one, or stop one.",
            retry_after=5,
        )


def _place(
    request: Send, conversation: Conversation, price: Price, tier: str, now: datetime
) -> tuple[Message, Message, context.Context]:
    """Fit the question and write it where it belongs; the reply below it, not yet written."""
    words = tokenizer(price.tokenizer)
    question = _question(request, conversation, words, now)
    fitted = context.fit(
        system_prompt=conversation.system_prompt,
        newest_first=(_entry(message, words) for message in branch.above(conversation, question.parent).iterator(64)),
        message=_entry(question, words),
        depth=question.depth,
        limit=min(settings.CHAT_PROMPT_TOKENS, price.context_window - settings.CHAT_MAX_OUTPUT_TOKENS),
        tokenizer=words,
    )
    if request.regenerate is None:
        question.save(force_insert=True)
    title = conversation.title or " ".join(question.content.split())[:TITLE_LENGTH]
    Conversation.objects.filter(pk=conversation.pk).update(title=title, updated_at=now)
    reply = Message(
        conversation=conversation,
        parent=question,
        depth=question.depth + 1,
        role=Message.Role.ASSISTANT,
        status=Message.Status.GENERATING,
        tier=tier,
        model=price.model,
        context=fitted.as_json(),
        idempotency_key=request.key,
        fingerprint=request.fingerprint() if request.key else "",
        created_at=now,
    )
    return reply, question, fitted


def _question(request: Send, conversation: Conversation, words: Tokenizer, now: datetime) -> Message:
    """The message to answer, the current branch made to end right above its answer."""
    if request.regenerate is not None:
        question = conversation.messages.get(pk=request.regenerate)
        branch.end_at(conversation, question)
        return question
    parent = branch.tip(conversation)
    if request.parent is not Parent.TIP:
        parent = None
        if request.parent is not None:
            parent = conversation.messages.filter(pk=request.parent, role=Message.Role.ASSISTANT).first()
            if parent is None:
                raise InvalidRequest(
                    "A message can only follow an answer of its own conversation.",
                    fields={"parent": ["No answer of this conversation has that id."]},
                )
        branch.end_at(conversation, parent)
    return Message(
        conversation=conversation,
        parent=parent,
        depth=0 if parent is None else parent.depth + 1,
        role=Message.Role.USER,
        content=request.content,
        html=format_html("<p>{}</p>", request.content),
        token_count=words.count(request.content),
        tokenizer=words.name,
        created_at=now,
    )


def _entry(message: Message, words: Tokenizer) -> context.Entry:
    """A message as the model sees it; counted anew only where another tokenizer counted it."""
    tokens = message.token_count if message.tokenizer == words.name else words.count(message.content)
    return context.Entry(role=message.role, content=message.content, tokens=tokens)
