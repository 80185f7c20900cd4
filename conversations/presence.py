"""Presence: which owners of leases are connected to Redis, so that one that died is known by more than its silence.

A process that is killed loses its connections at once, and then its subscription is gone. One that only
stalls keeps it, and one that is cut off from Redis still renews its leases: neither counts as dead before
those run out. Without Redis there is one web process, and nobody can tell.
"""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from django.conf import settings

from accounts.errors import AWAY
from conversations.log.redis import client
from conversations.pool import AWAY_SECONDS
from conversations.redis_layer import heard

logger = logging.getLogger(__name__)


async def show(owner_id: UUID) -> None:
    """Be seen as present until cancelled."""
    while settings.REDIS_URL:
        try:
            async with client().pubsub() as subscription:
                await subscription.subscribe(_channel(owner_id))
                while True:
                    await heard(subscription)
        except Exception as error:  # whatever it is: who is not seen must try again
            logger.warning("this process is not seen as present: %s", type(error).__name__)
            await asyncio.sleep(AWAY_SECONDS)


async def is_gone(owner_id: UUID) -> bool:
    """Whether Redis says that an owner is not connected; False where Redis itself cannot be asked."""
    if not settings.REDIS_URL:
        return False
    try:
        [(_, subscribers)] = await client().pubsub_numsub(_channel(owner_id))
    except AWAY:
        return False
    return int(subscribers) == 0


def _channel(owner_id: UUID) -> str:
    return f"chat:owner:{owner_id}"
