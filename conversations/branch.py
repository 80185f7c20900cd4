"""The tree of a conversation: which of its branches is current, and what lies above a message.

A message is flagged `current` while it lies on the current branch, so that reading a branch is an
index scan, whatever the length of the conversation. Whoever changes the branch holds the lock on the
conversation's row, so that switching and sending at once come one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User
from accounts.statements import Statement, columns, loaded, run
from conversations.models import Conversation, Message

STEP = 64  # messages that one query reads
BOTTOM = 2**31 - 1  # a depth below all others
WINDOW = 24  # messages that a send reads at once: most windows are no longer


class Parent(Enum):
    """Where a message goes when its place is not named."""

    TIP = "at the end of the current branch"


# From a message upwards to the first one on the current branch, that one included.
_CLIMB = """
WITH RECURSIVE climb (id, parent_id, is_current, place) AS (
    SELECT id, parent_id, "current", 0 FROM conversations_message WHERE id = %s
    UNION ALL
    SELECT above.id, above.parent_id, above."current", place + 1
    FROM climb JOIN conversations_message AS above ON above.id = climb.parent_id
    WHERE NOT climb.is_current AND place + 1 < %s
)
SELECT message.id, message.conversation_id, message.parent_id, message.depth, message."current", message.role,
    message.content, message.token_count, message.tokenizer
FROM climb JOIN conversations_message AS message ON message.id = climb.id ORDER BY climb.place
"""


class Above(NamedTuple):
    """Of a message what is asked of those above a new one: a send reads many, and whole objects of them cost."""

    id: UUID
    conversation_id: UUID
    depth: int
    role: str
    content: str
    token_count: int
    tokenizer: str


_ABOVE = [name.removesuffix("_id") for name in Above._fields]


def tip(conversation: Conversation) -> Message | None:
    """The newest message of the current branch."""
    return conversation.messages.current().last()


def place(conversation: Conversation, parent: UUID | Parent | None) -> Message | None:
    """The answer that a new message follows; None at the beginning.

    Raises NotFound for what is not in this conversation, InvalidRequest for what is no answer.
    """
    if parent is Parent.TIP:
        return tip(conversation)
    if parent is None:
        return None
    found = conversation.messages.filter(pk=parent).first()
    if found is None:
        raise NotFound
    if found.role != Message.Role.ASSISTANT:
        raise InvalidRequest(_("A message can only follow an answer."), fields={"parent": [_("This is a question.")]})
    return found


def lineage(message: Message | None) -> Iterator[Message | Above]:
    """A message and all that lie above it, the newest first, on whatever branch; reads no further than it is asked."""
    pk = None if message is None else message.pk
    while pk is not None:
        steps = _climb(pk)
        for step in steps:
            if step.current:
                yield step
                yield from _onwards(run(_newest(step.conversation_id, step.depth, STEP))[0].rows)
                return
            yield step
        pk = steps[-1].parent_id


def newest(conversation: Conversation) -> Statement:
    """What reads the newest messages of the current branch, for `window`."""
    return _newest(conversation.pk, BOTTOM, WINDOW)


def window(rows: Sequence[Any]) -> tuple[Message | None, Iterator[Above]]:
    """The current branch's last message, and all the branch, the newest first, read no further than it is asked."""
    if not rows:
        return None, iter(())
    return loaded(Message, rows[0], _ABOVE), _onwards(rows)


def _onwards(rows: Sequence[Any]) -> Iterator[Above]:
    """The newest messages of the current branch, and all that lie above them, twice as many with each further trip."""
    while rows:
        messages = [Above(*row) for row in rows]
        yield from messages
        last = messages[-1]
        rows = run(_newest(last.conversation_id, last.depth, 2 * len(rows)))[0].rows if last.depth else []


def _newest(conversation_id: UUID, depth: int, most: int) -> Statement:
    """What reads the newest messages of the current branch that lie above a depth."""
    return Statement(
        f"SELECT {columns(Message, 'message', _ABOVE)} FROM conversations_message AS message"  # noqa: S608
        ' WHERE conversation_id = %s AND "current" AND depth < %s ORDER BY depth DESC LIMIT %s',
        [conversation_id, depth, most],
    )


def end_at(conversation: Conversation, parent: Message | None) -> None:
    """Make the current branch the one that ends at `parent`; None: no branch at all. Costs what it changes."""
    lost: list[UUID] = []
    fork = -1  # the depth of the last message that stays
    pk = None if parent is None else parent.pk
    while pk is not None:
        *others, highest = _climb(pk)
        lost += [step.pk for step in others]
        if highest.current:
            fork = highest.depth
            break
        lost.append(highest.pk)
        pk = highest.parent_id
    conversation.messages.filter(current=True, depth__gt=fork).update(current=False)
    for start in range(0, len(lost), 500):
        conversation.messages.filter(pk__in=lost[start : start + 500]).update(current=True)


def select(*, user: User, message_id: UUID) -> Message:
    """Make the branch through a message the current one, down to its newest leaf; that leaf.

    NotFound for anyone else's. Takes the conversation's lock; a reply that runs goes on where it is.
    """
    with transaction.atomic(durable=True):
        own = Conversation.objects.of(user).filter(messages=message_id)
        conversation = Conversation.objects.select_for_update().filter(pk__in=own.values("pk")).first()
        if conversation is None:
            raise NotFound
        found = _newest_leaf(conversation, conversation.messages.get(pk=message_id))
        leaf = conversation.messages.select_related("usage_record").get(pk=found)
        end_at(conversation, leaf)
    return leaf


def siblings(*, user: User, message_id: UUID) -> QuerySet[Message]:
    """A message and the others that share its parent, the oldest first: any number. NotFound for anyone else's."""
    message = Message.objects.of(user).filter(pk=message_id).first()
    if message is None:
        raise NotFound
    beside = Message.objects.filter(conversation_id=message.conversation_id, parent_id=message.parent_id)
    return beside.select_related("usage_record").order_by("created_at", "pk")


def _climb(pk: UUID) -> list[Message]:
    value = Message._meta.pk.get_db_prep_value(pk, connection)
    return list(Message.objects.raw(_CLIMB, [value, STEP]))


def _newest_leaf(conversation: Conversation, message: Message) -> UUID:
    """Of all messages below one, the newest that has none below itself; the message where there are none. One query."""
    rows = conversation.messages.filter(depth__gt=message.depth).order_by("depth")
    leaves, inner = {message.pk: message.created_at}, set[UUID]()
    for pk, parent, created_at in rows.values_list("pk", "parent_id", "created_at"):
        if parent in leaves or parent in inner:
            leaves.pop(parent, None)
            inner.add(parent)
            leaves[pk] = created_at
    return max(leaves, key=lambda pk: (leaves[pk], pk))
