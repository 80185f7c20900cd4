"""The road: from a user's text to a stored, billed answer. Every door takes it.

admit → fit → hold (here, in `_begin`) → generate (`generation`) → settle (`settling`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import AWAY, NotAuthenticated, NotFound, Refusal
from accounts.models import User
from accounts.requests import UNSTORABLE
from accounts.statements import Statement, insert
from billing import bounds, ledger
from billing.prices import Price
from conversations import (
    admission,
    draining,
    events,
    feed,
    keys,
    leases,
    limits,
    placing,
    provider,
    titles,
)
from conversations.branch import Parent as Parent
from conversations.context import Context
from conversations.events import Event
from conversations.generation import Order, Writer
from conversations.models import Conversation, Message
from conversations.pool import in_database, insist
from conversations.sending import Send as Send
from conversations.tokens import tokenizer


class IdempotencyConflict(Refusal):
    """The idempotency key stands for another request."""

    code, status = "idempotency_conflict", 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A reply that runs, or ran: `created` is False where an earlier request with the same key made it."""

    message: Message
    started: Event
    created: bool
    allowance: limits.Allowance | None = None


async def send(request: Send, *, clock: Callable[[], datetime]) -> Begun:
    """Take the road: admit, fit and hold; then a task of its own generates and settles.

    Raises a Refusal, with nothing changed, where the request is not granted; NotAuthenticated where the session, or the
    token, that asks holds no longer. Whoever asked may go away meanwhile: what has been held is generated
    and settled all the same.
    """
    draining.check()
    begun: Begun = await asyncio.shield(_keep(asyncio.create_task(_send(request, clock))))
    return begun


def busy() -> bool:
    """Whether this process begins or writes replies, or has conversations named."""
    return bool(_running) or titles.busy()


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


def started_of(user: User, message_id: UUID) -> Event:
    """The event with which a reply of the user's own began; NotFound for any other."""
    replies = Message.objects.of(user).filter(usage_record__isnull=False)
    reply = replies.select_related("usage_record", "parent").filter(pk=message_id).first()
    if reply is None:
        raise NotFound
    return _started(reply)


_running: set[asyncio.Task[Any]] = set()  # the loop itself keeps only weak references


def _keep(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def _send(request: Send, clock: Callable[[], datetime]) -> Begun:
    owner, loop = leases.owner(), asyncio.get_running_loop()
    ready: Writer | None = None

    def get_ready(order: Order) -> None:
        nonlocal ready
        if ready is not None:
            ready.drop()
        ready = Writer(order, owner, clock)

    def expect(order: Order) -> None:
        loop.call_soon_threadsafe(get_ready, order)  # which happens before the hold is heard of here

    begun: Begun | None = None
    try:
        begun = await in_database(_begin, request, owner.id, clock, expect)
    except AWAY:
        if ready is not None:
            begun = await _committed(request, ready.message_id, owner.id, clock() + leases.lease())
        if begun is None:
            raise
    finally:
        if ready is not None and not (begun and begun.created):
            ready.drop()
    if ready is not None and begun.created:
        _keep(ready.start(begun.started))
        await feed.tell_reply(begun.message.conversation, begun.message)
    return begun


async def _committed(request: Send, message_id: UUID, owner_id: UUID, until: datetime) -> Begun | None:
    """What was begun, where the database has committed it but its answer was lost; None where it was not, or where
    that cannot be known before others may end it.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.CHAT_LEASE_SECONDS):
            return await insist(in_database, _held, request.conversation_id, message_id, owner_id, until)
    return None


@transaction.atomic
def _held(conversation_id: UUID, message_id: UUID, owner_id: UUID, until: datetime) -> Begun | None:
    # Locked by the send that was cut off, should the server still be at it: then this raises, and is asked again.
    Conversation.objects.select_for_update(nowait=True).filter(pk=conversation_id).first()
    if not leases.renewed(owner_id, [message_id], until):
        return None
    replies = Message.objects.select_related("usage_record__price", "usage_record__user", "parent", "conversation")
    reply = replies.get(pk=message_id)
    return Begun(message=reply, started=_started(reply), created=True)


def _begin(request: Send, owner_id: UUID, clock: Callable[[], datetime], expect: Callable[[Order], object]) -> Begun:
    """What a request has begun, now or before.

    `expect` is told of the order while the hold is on its way, so that its call can be made ready meanwhile; where it
    is told again, the last is right.
    """
    try:
        return _granted(request, owner_id, clock, expect)
    except ledger.MonthIsClosed:  # while this waited: so by now it is a call of the next month
        return _begin(request, owner_id, clock, expect)
    except NotAuthenticated:
        raise
    except Refusal as refusal:
        earlier = _earlier(request)  # what the same request, sent before or at the same time, has made
        if earlier is not None:
            return earlier
        if isinstance(refusal, limits.RateLimited):
            admission.check(request, now=clock())  # says more than that there were too many
        raise


def _granted(request: Send, owner_id: UUID, clock: Callable[[], datetime], expect: Callable[[Order], object]) -> Begun:
    now = clock()
    wanted = admission.look(request, now=now)
    with limits.counted(user=request.user, address=request.address, tier=wanted.tier) as allowance:
        # Counting takes a while where the text is long, so before any lock.
        tokens = tokenizer(wanted.price.tokenizer).count(request.content)
        with transaction.atomic(durable=True):
            newest, answers = admission.lock(request, wanted.conversation, now=now)
            question, fitted, unwritten = placing.place(request, wanted.conversation, wanted.price, tokens, now, newest)
            reply = placing.reply(request, question, wanted.price, wanted.tier, now)
            reply.context = fitted.as_json()
            # Not from `now` on: loading a tokenizer, or waiting for a lock, may have taken a good part of a lease.
            reply.lease_owner, reply.lease_expires_at = owner_id, clock() + leases.lease()
            messages = fitted.as_messages()

            def write(record: ledger.UsageRecord) -> Sequence[Statement]:
                reply.usage_record = record
                return [*unwritten, insert(reply)]

            def meanwhile(record: ledger.UsageRecord) -> None:
                call = provider.Request(
                    model=wanted.model,  # the name as it was configured: a dated one stays pinned
                    messages=messages,
                    output_cap=record.output_cap,
                    takes_temperature=wanted.price.takes_temperature,
                )
                expect(Order(message=reply, request=call))

            record = ledger.hold(
                call=_bounded(request, wanted.price, fitted),
                now=now,
                write=write,
                meanwhile=meanwhile,
                answers=answers,
            )
    started = events.started(reply=reply, question=question, hold=record.hold)
    return Begun(message=reply, started=started, created=True, allowance=allowance)


def _bounded(request: Send, price: Price, fitted: Context) -> bounds.Call:
    """What a call is held for."""
    return bounds.Call(
        user=request.user,
        feature="chat",
        price=price,
        input_tokens=fitted.prompt_tokens,
        output_cap=settings.CHAT_MAX_OUTPUT_TOKENS,
        key_fingerprint=keys.fingerprint(),
        api_token_id=request.token_id,
    )


def _earlier(request: Send) -> Begun | None:
    """What an earlier request with the same key made."""
    if request.key is None or UNSTORABLE.search(request.key):
        return None
    replies = Message.objects.of(request.user).select_related("usage_record", "parent")
    reply = replies.filter(conversation=request.conversation_id, idempotency_key=request.key).first()
    if reply is None:
        return None
    if reply.fingerprint != request.fingerprint():
        raise IdempotencyConflict(
            _("This idempotency key was used for another message. Send the new one with a new key."),
            message_id=str(reply.pk),
        )
    return Begun(message=reply, started=_started(reply), created=False)


def _started(reply: Message) -> Event:
    question, record = cast(Message, reply.parent), cast(ledger.UsageRecord, reply.usage_record)
    return events.started(reply=reply, question=question, hold=record.hold)
