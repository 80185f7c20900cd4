"""Leases: which process writes which replies, and how it is told to stop.

A process renews all its replies' leases with one statement every few seconds, and learns by the way
which it has lost and which a person wants stopped.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from conversations import hints, presence
from conversations.models import Message
from conversations.pool import AWAY_SECONDS, ahead

logger = logging.getLogger(__name__)


def lease() -> timedelta:
    """How long a process that says nothing still counts as alive."""
    return timedelta(seconds=settings.CHAT_LEASE_SECONDS)


def overdue() -> timedelta:
    """How much of a lease is left when it should have been renewed long since: one renewal was missed, and a half."""
    return lease() * 0.7


class Writing(Protocol):
    """The task that writes a reply, as its owner sees it."""

    message_id: UUID

    def stop(self) -> None:
        """A person wants no more of it."""

    def interrupt(self) -> None:
        """The process ends: close the upstream connection, and end the reply with the text that it has."""

    def lose(self) -> None:
        """Someone else has ended the reply: write nothing more."""


class Owner:
    """This process (strictly: its event loop) as the holder of leases."""

    def __init__(self, clock: Callable[[], datetime] = timezone.now) -> None:
        self.id = uuid.uuid4()
        self._clock = clock
        self._writing: dict[UUID, Writing] = {}
        self._stopped_early: set[UUID] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, writing: Writing) -> None:
        """A reply is being written from now on; a stop that came before its task stops it now."""
        self._writing[writing.message_id] = writing
        if not self._tasks:
            work = (self._renew(), self._listen(), presence.show(self.id))
            self._tasks = [asyncio.create_task(one) for one in work]
        if writing.message_id in self._stopped_early:
            self._stopped_early.discard(writing.message_id)
            writing.stop()

    @property
    def writing(self) -> list[Writing]:
        """The replies that this process writes now."""
        return list(self._writing.values())

    def remove(self, message_id: UUID) -> None:
        """It is written no more."""
        self._writing.pop(message_id, None)

    def stop(self, message_id: UUID) -> None:
        """Stop a reply that this process writes, or is about to."""
        writing = self._writing.get(message_id)
        if writing is not None:
            writing.stop()
        else:
            self._stopped_early.add(message_id)
            asyncio.get_running_loop().call_later(settings.CHAT_LEASE_SECONDS, self._stopped_early.discard, message_id)

    async def _renew(self) -> None:
        pause = settings.CHAT_LEASE_SECONDS / 5
        while True:
            await asyncio.sleep(pause)
            if not self._writing:
                continue
            pause = AWAY_SECONDS
            # No others: a reply that this process holds, but whose writer never began or failed, must run out.
            asked = dict(self._writing)
            try:
                held = await ahead(renewed, self.id, list(asked), self._clock() + lease())
            except Exception as error:  # the database is away: soon again, for the leases run out
                logger.warning("leases could not be renewed: %s", type(error).__name__)
                continue
            pause = settings.CHAT_LEASE_SECONDS / 5
            for message_id, writing in asked.items():
                if message_id not in held:
                    writing.lose()
                elif held[message_id]:
                    writing.stop()

    async def _listen(self) -> None:
        while True:
            try:
                async with hints.Feed(_group(self.id)) as feed:
                    while True:
                        hint = await feed.receive()
                        if hint is not None:
                            self.stop(UUID(hint["stop"]))
            except Exception as error:  # the channel layer is away: renewing sees the stops meanwhile
                logger.warning("stops are heard late: %s", type(error).__name__)
                await asyncio.sleep(1)


_owners: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Owner] = weakref.WeakKeyDictionary()


def owner() -> Owner:
    """The owner that this event loop is."""
    loop = asyncio.get_running_loop()
    if loop not in _owners:
        _owners[loop] = Owner()
    return _owners[loop]


async def tell_stop(*, owner_id: UUID, message_id: UUID) -> None:
    """Tell the process that writes a reply to stop it; at once where it is this one."""
    if owner_id == owner().id:
        owner().stop(message_id)
    else:
        await hints.announce(_group(owner_id), {"stop": str(message_id)})


def renewed(owner_id: UUID, message_ids: list[UUID], until: datetime) -> dict[UUID, bool]:
    """Renew an owner's leases of these replies; which it still has, and of each, whether a stop was asked for."""
    mine = Message.objects.generating().filter(pk__in=message_ids, lease_owner=owner_id)
    mine.update(lease_expires_at=until)
    return {pk: stop is not None for pk, stop in mine.values_list("pk", "stop_requested_at")}


def _group(owner_id: UUID) -> str:
    return f"owner.{owner_id}"
