"""Stop: how a person ends a reply, whichever process writes it."""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

from django.db.models import Q

from accounts.errors import AWAY
from accounts.models import User
from conversations import hints, leases
from conversations.following import BEYOND, Follower
from conversations.models import Message
from conversations.pool import in_database
from conversations.replies import own_message


async def stop(*, user: User, message_id: UUID, now: datetime) -> Message:
    """Stop a reply; returns its message once the upstream is closed and what it had is settled."""
    message = await in_database(own_message, user, message_id)
    if message.ended:
        return message
    await _stop(Q(pk=message_id), now)
    return await in_database(own_message, user, message_id)


async def stop_in(*, conversation_id: UUID, now: datetime) -> None:
    """Stop what is being written in a conversation, be it deleted; returns as `stop` does."""
    await _stop(Q(conversation=conversation_id), now)


async def _stop(which: Q, now: datetime) -> None:
    for message in await in_database(_asked_to_stop, which, now):
        owner_id = cast(UUID, message.lease_owner)
        try:
            await _stopped(message, owner_id)
        except AWAY:
            if owner_id == leases.owner().id:  # nothing else is needed to stop what this process writes
                await leases.tell_stop(owner_id=owner_id, message_id=message.pk)
            raise


def _asked_to_stop(which: Q, now: datetime) -> list[Message]:
    running = Message.objects.generating().filter(which, lease_owner__isnull=False)
    running.update(stop_requested_at=now)
    return list(running.only("conversation_id", "lease_owner"))


async def _stopped(message: Message, owner_id: UUID) -> None:
    async with hints.Feed(hints.group_of(message.conversation_id)) as feed:
        await leases.tell_stop(owner_id=owner_id, message_id=message.pk)
        follower = Follower(message.pk, BEYOND)
        while not follower.finished:
            hint = await feed.event(timeout=1.0)
            if hint is None:
                await follower.catch_up()  # which ends a reply whose process is gone
            elif hint.message_id == str(message.pk):
                await follower.on(hint)
