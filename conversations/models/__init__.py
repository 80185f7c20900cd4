"""A user's conversations, the tree of messages in each, and the files that they bring in."""

from conversations.models.conversations import (
    LONGEST_SYSTEM_PROMPT,
    Conversation,
    ConversationQuerySet,
    Source,
    Tier,
    new_id,
)
from conversations.models.imports import ImportPart, ImportRun
from conversations.models.messages import Delta, Message, MessageQuerySet

__all__ = [
    "LONGEST_SYSTEM_PROMPT",
    "Conversation",
    "ConversationQuerySet",
    "Delta",
    "ImportPart",
    "ImportRun",
    "Message",
    "MessageQuerySet",
    "Source",
    "Tier",
    "new_id",
]
