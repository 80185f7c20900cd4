"""A person deletes their account: nobody can act as them from one instant on, and then all their text goes.

What is still written is stopped and settled first. Each step may be repeated: where a process dies between
two of them, or something was under way that nobody could stop, beat does the rest.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import leaving as account
from accounts.errors import AWAY, NotFound
from accounts.models import User
from billing import leaving as books
from conversations import lifecycle, stopping
from conversations.models import Conversation, ImportRun, Message
from conversations.pool import beside, in_database

logger = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds that a person waits for the text to go; beat has more


async def leave(*, user: User, now: datetime) -> None:
    """Delete an account. Raises LastAdministrator, with nothing changed; once this has begun, it is done in the end."""
    gone = await in_database(_begin, user, now)
    try:
        async with asyncio.timeout(PATIENCE):
            await erase(user=gone, now=now)
    except (TimeoutError, *AWAY) as error:
        logger.warning("beat finishes the deletion of account %s: %s", gone.pk, type(error).__name__)


async def erase(*, user: User, now: datetime) -> None:
    """Take away what a user who is gone has left: running replies, then text, then names. May be repeated."""
    for message_id in await in_database(_running, user):
        with suppress(NotFound):  # it ended meanwhile, and was thrown away
            await stopping.stop(user=user, message_id=message_id, now=now)
    await beside(_erase, user, now)


async def finish(*, now: datetime) -> int:
    """Go on with the deletions that are not finished; how many there are."""
    users = await in_database(account.unfinished)
    for user in users:
        await leave(user=user, now=now)
    return len(users)


def _begin(user: User, now: datetime) -> User:
    with transaction.atomic(durable=True):
        books.bar(user=user, now=now)  # first: a send locks in this order too
        return account.anonymise(user=user, now=now)


def _running(user: User) -> list[UUID]:
    return list(Message.objects.generating().filter(conversation__user=user).values_list("pk", flat=True))


def _erase(user: User, now: datetime) -> None:
    ImportRun.objects.filter(user=user).delete()  # its worker finds its lease gone
    lifecycle.erase(user=user)
    books.rename(user=user, now=now)
    if not Conversation.objects.filter(user=user).exists():
        account.finished(user=user, now=now)
