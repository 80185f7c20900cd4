"""The tree of a conversation: which of its branches is current.

A message is flagged `current` while it lies on the current branch, so that reading a branch is an
index scan, whatever the length of the conversation.
"""

from django.db.models import QuerySet

from conversations.models import Conversation, Message


def tip(conversation: Conversation) -> Message | None:
    """The newest message of the current branch."""
    return conversation.messages.current().last()


def above(conversation: Conversation, parent: Message | None) -> QuerySet[Message]:
    """A message of the current branch and all that lie above it there, the newest first."""
    depth = -1 if parent is None else parent.depth
    return conversation.messages.filter(current=True, depth__lte=depth).order_by("-depth")


def end_at(conversation: Conversation, parent: Message | None) -> None:
    """Make the current branch the one that ends at `parent`; None: no branch at all. Costs what it changes."""
    lost: list[Message] = []
    ancestor = parent
    while ancestor is not None and not ancestor.current:
        lost.append(ancestor)
        ancestor = ancestor.parent
    depth = -1 if ancestor is None else ancestor.depth
    conversation.messages.filter(current=True, depth__gt=depth).update(current=False)
    if lost:
        conversation.messages.filter(pk__in=[message.pk for message in lost]).update(current=True)
