"""Abandoned replies: whose process died, ended as interrupted with the text that their log has."""

import logging
from datetime import datetime
from uuid import UUID, uuid4

from accounts.errors import AWAY
from conversations import log, presence, settling
from conversations.leases import lease, overdue
from conversations.models import Delta, Message
from conversations.pool import in_database, was_away

logger = logging.getLogger(__name__)


async def recover_replies(*, now: datetime) -> int:
    """End every reply that is abandoned; how many. One that cannot be ended keeps no other from it."""
    abandoned = Message.objects.generating().filter(lease_expires_at__lt=now + overdue()).values_list("pk", flat=True)
    message_ids = await in_database(lambda: list(abandoned[:1000]))
    # What a process left that died between ending a reply and throwing its log away.
    await in_database(Delta.objects.exclude(message__status=Message.Status.GENERATING).delete)
    return sum([await _recovered(message_id, now) for message_id in message_ids])


async def _recovered(message_id: UUID, now: datetime) -> bool:
    try:
        return await recover(message_id, now=now)
    except AWAY:
        raise  # so are all the others
    except Exception:
        logger.exception("an abandoned reply could not be ended: %s", message_id)
        return False


async def recover(message_id: UUID, *, now: datetime) -> bool:
    """End one reply that is abandoned: its lease has run out, or is overdue and its owner gone.

    Of all who try at once, exactly one gets True.
    """
    if was_away(within=lease().total_seconds() / 3):
        return False  # those who write could not renew either: let them do that first
    claimant = uuid4()
    claimed = await in_database(_claim, message_id, claimant, now)
    if not claimed and not await _claim_of_the_dead(message_id, claimant, now):
        return False
    home = log.home()
    await home.seal(message_id)
    text = await home.read(message_id, 0)
    ending = settling.Ending(status=Message.Status.INTERRUPTED, text=text.content if text else "")
    message = await in_database(settling.running, message_id, claimant)
    if message is None:
        return False
    ended = await in_database(settling.end, message=message, owner=claimant, ending=ending, now=now)
    if ended is None:
        return False
    logger.warning("ended an abandoned reply: %s", message_id)
    await settling.tell_end(ended)
    return True


def _claim(message_id: UUID, claimant: UUID, now: datetime) -> bool:
    abandoned = Message.objects.generating().filter(pk=message_id, lease_expires_at__lt=now)
    return bool(abandoned.update(lease_owner=claimant, lease_expires_at=now + lease()))


async def _claim_of_the_dead(message_id: UUID, claimant: UUID, now: datetime) -> bool:
    """Claim a reply whose lease still runs, but was not renewed in time by an owner that is not there."""
    running = Message.objects.generating().filter(pk=message_id, lease_expires_at__lt=now + overdue())
    owner = await in_database(running.values_list("lease_owner", flat=True).first)
    if owner is None or not await presence.is_gone(owner):
        return False
    taken = {"lease_owner": claimant, "lease_expires_at": now + lease()}
    return bool(await in_database(running.filter(lease_owner=owner).update, **taken))
