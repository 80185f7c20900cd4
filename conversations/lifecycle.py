"""A conversation from its beginning to its end: made, named, pinned, put away, deleted, brought back, purged.

Deleting hides a conversation at once and throws its text away after `UNDO`. A temporary one is never listed,
found or named, and is thrown away as soon as it is deleted, or left alone for `IDLE`. What it all cost stays.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.errors import NotFound
from accounts.models import User
from conversations import replies, stopping, words
from conversations.models import Conversation, Message
from conversations.pool import in_database

UNDO = timedelta(minutes=10)
IDLE = timedelta(hours=1)
BATCH = 50  # conversations that one transaction throws away


def create(*, user: User, now: datetime, pk: UUID | None = None, **fields: Any) -> Conversation:
    """Begin one. Given an id that the user has begun before, that one; NotFound where it is another's."""
    if fields.get("title"):
        fields["title_source"] = Conversation.TitleSource.PERSON
    defaults = {"user": user, "created_at": now, "updated_at": now, **fields}
    if pk is None:
        return Conversation.objects.create(**defaults)
    Conversation.objects.get_or_create(pk=pk, defaults=defaults)
    return replies.own_conversation(user, pk)


def change(*, user: User, conversation_id: UUID, **fields: Any) -> Conversation:
    """Set fields of one; a name that a person gives is theirs, an empty one is made anew. NotFound for another's."""
    if "title" in fields:
        fields["title_source"] = Conversation.TitleSource.PERSON if fields["title"] else ""
    own = Conversation.objects.of(user).filter(pk=conversation_id)
    if fields and not own.update(**fields):
        raise NotFound
    return replies.own_conversation(user, conversation_id)


def discard_empty(*, user: User, conversation_id: UUID) -> None:
    """Take back one that was begun for a message which was then refused."""
    Conversation.objects.of(user).filter(pk=conversation_id, messages=None).delete()


async def delete(*, user: User, conversation_id: UUID, now: datetime) -> Conversation:
    """Stop what is still being written, so that it is settled, then delete. NotFound for anyone else's."""
    conversation = await in_database(replies.own_conversation, user, conversation_id)
    await stopping.stop_in(conversation_id=conversation_id, now=now)
    await in_database(Conversation.objects.of(user).filter(pk=conversation_id).update, deleted_at=now)
    await stopping.stop_in(conversation_id=conversation_id, now=now)  # what has begun meanwhile; now nothing can
    if conversation.temporary:
        await in_database(_throw_away, Q(pk=conversation_id))  # no word of it was ever in the index
    return conversation


def restore(*, user: User, conversation_id: UUID) -> Conversation:
    """Undo a deletion, as long as the text is there; one that is not deleted stays as it is. NotFound otherwise."""
    Conversation.objects.filter(user=user, pk=conversation_id, temporary=False).update(deleted_at=None)
    return replies.own_conversation(user, conversation_id)


def purge(*, now: datetime) -> int:
    """Throw away what was deleted, and temporary chats that were left; how many. What still runs waits for the next."""
    count = 0
    temporary = Q(temporary=True) & (Q(updated_at__lt=now - IDLE) | Q(deleted_at__isnull=False))
    while thrown := _throw_away(Q(deleted_at__lt=now - UNDO) | temporary):
        count += thrown
    if count:
        words.forget_deleted()
    return count


def erase(*, user: User) -> int:
    """Throw away all of a user's conversations, whatever their state; how many. What still runs waits for the next."""
    count = 0
    while thrown := _throw_away(Q(user=user)):
        count += thrown
    words.forget_deleted()
    return count


def _throw_away(which: Q) -> int:
    """Delete conversations with their text, for good, unless an answer or a name is still being made for them."""
    with transaction.atomic():
        settled = Conversation.objects.filter(which).exclude(title_record__state="held")
        settled = settled.exclude(pk__in=Message.objects.generating().values("conversation"))
        # Whoever restores one at this instant waits, and finds it gone.
        locked = set(settled.select_for_update(of=("self",)).values_list("pk", flat=True)[:BATCH])
        # A send that held the lock before us may have begun an answer meanwhile; now none can.
        running = Message.objects.generating().filter(conversation__in=locked)
        keys = locked - set(running.values_list("conversation_id", flat=True))
        Conversation.objects.filter(pk__in=keys).delete()
    return len(keys)
