"""Who talks: users with a token and a conversation each, made straight in the database."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from accounts.models import Token, User
from conversations.models import Conversation, Message
from conversations.tokens import tokenizer

TOKENIZER = "o200k_base"  # of the model that is called: a message counted by it is not counted again
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Person:
    """One user, who may open a socket on their conversation."""

    user: User
    token: str
    conversation_id: str

    @property
    def path(self) -> str:
        """The socket's path."""
        return f"/ws/conversations/{self.conversation_id}/"


def people(count: int, *, messages: int = 0) -> list[Person]:
    """New users, each with a conversation that has so many messages already."""
    return [_person(messages) for _ in range(count)]


def _person(messages: int) -> Person:
    now = timezone.now()
    user = User(email=f"bench-{next(_numbers)}@example.com", password="!")  # nobody signs in with it
    user.save()
    _, secret = Token.issue(user=user)
    conversation = Conversation.objects.create(user=user, created_at=now, updated_at=now)
    if messages:
        _fill(conversation, messages)
    return Person(user, secret, str(conversation.pk))


def _fill(conversation: Conversation, count: int) -> None:
    text = "How do we count what we have said, and who has to read it all again? " * 4
    tokens = tokenizer(TOKENIZER).count(text)
    made: list[Message] = []
    for depth in range(count):
        made.append(
            Message(
                conversation=conversation,
                parent=made[-1] if made else None,
                depth=depth,
                role="assistant" if depth % 2 else "user",
                content=text,
                html=f"<p>{text}</p>",
                token_count=tokens,
                tokenizer=TOKENIZER,
                created_at=conversation.created_at,
            )
        )
    Message.objects.bulk_create(made, batch_size=1000)
    with connection.cursor() as cursor:  # what autovacuum does within a minute; rows do not come by ten thousand else
        cursor.execute("ANALYZE conversations_message")
