"""Sending by a plain form, which waits for the whole answer: for pages without scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.errors import Refusal
from accounts.models import User
from conversations import lifecycle, replies
from conversations.following import BEYOND, follow
from conversations.models import Message, Tier, new_id
from conversations.pool import in_database
from conversations.replies import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a person wrote. `new`: the id that a conversation which is not begun yet gets, as text, from the page.

    With `new` and `key` from the page, the same form sent twice makes one conversation and one call.
    """

    content: str
    tier: str | None
    key: str | None
    new: str | None


async def send(
    form: Form, *, user: User, address: str, conversation_id: UUID | None, clock: Callable[[], datetime]
) -> Message:
    """The reply, once it has ended, however it did. Raises a Refusal, with nothing begun, where it is not granted."""
    place = await in_database(_begin, form, user, clock()) if conversation_id is None else conversation_id
    wanted = Send(user=user, address=address, conversation_id=place, content=form.content, tier=form.tier, key=form.key)
    try:
        begun = await replies.send(wanted, clock=clock)
    except Refusal:
        if conversation_id is None:
            await in_database(lifecycle.discard_empty, user=user, conversation_id=place)
        raise
    async for _ in follow(begun.message, start=BEYOND):
        pass
    return begun.message


def _begin(form: Form, user: User, now: datetime) -> UUID:
    try:
        pk = UUID(form.new or "")
    except ValueError:
        pk = new_id()
    tier = form.tier if form.tier in Tier.values else Tier.FAST
    return lifecycle.create(user=user, now=now, pk=pk, tier=tier).pk
