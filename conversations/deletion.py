"""Deleting a conversation: its text goes, its usage records stay."""

from datetime import datetime
from uuid import UUID

from accounts.models import User
from conversations import replies
from conversations.models import Conversation
from conversations.pool import in_database


async def delete_conversation(*, user: User, conversation_id: UUID, now: datetime) -> None:
    """Stop what is still being written, so that it is settled, then delete. NotFound for anyone else's."""
    running = await in_database(_running, user, conversation_id)
    if running is not None:
        await replies.stop(user=user, message_id=running, now=now)
    await in_database(Conversation.objects.of(user).filter(pk=conversation_id).delete)


def _running(user: User, conversation_id: UUID) -> UUID | None:
    conversation = replies.own_conversation(user, conversation_id)
    return conversation.messages.generating().values_list("pk", flat=True).first()
