"""A user's list of conversations, grouped by day, a page at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from django.db.models import Exists, OuterRef, Q
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from accounts.models import User
from conversations.models import Conversation, Message

PAGE = 50
PINNED = 50  # more are found by search


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of conversations under the names of their days; `before` leads to the next, empty at the end."""

    days: list[tuple[str, list[Conversation]]]
    before: str


def listing(*, user: User, now: datetime, before: str = "", archived: bool = False) -> Listing:
    """A user's newest conversations, or the archived ones; days are those of the active time zone.

    On the first page the pinned ones come first, by one more query; there is one otherwise. `before` is the
    cursor of an earlier listing; one that does not fit is ignored. What has no name and no message yet is not
    listed: it was made for a message that was never granted, or is only about to be begun.
    """
    found = Conversation.objects.of(user).filter(archived=archived, temporary=False).order_by("-updated_at", "-id")
    begun = Exists(Message.objects.filter(conversation=OuterRef("pk")))
    found = found.filter(~Q(title="") | begun).only("title", "updated_at", "pinned")
    if archived:
        pinned: list[Conversation] = []
    else:
        pinned = [] if before else list(found.filter(pinned=True)[:PINNED])
        found = found.filter(pinned=False)
    page = list(found.filter(below(before))[: PAGE + 1])
    days = _by_day(page[:PAGE], now=now)
    return Listing(
        days=[(_("Pinned"), pinned), *days] if pinned else days,
        before=cursor(page[PAGE - 1]) if len(page) > PAGE else "",
    )


def cursor(conversation: Conversation) -> str:
    """Where the list goes on below a conversation."""
    return f"{conversation.updated_at.isoformat()}_{conversation.pk}"


def below(cursor: str) -> Q:
    """Which conversations lie below a cursor; all where it is none."""
    instant, _, pk = cursor.partition("_")
    try:
        given, last = datetime.fromisoformat(instant), uuid.UUID(pk)
        at = given.astimezone(UTC)  # beyond the first year or the last, no database can
    except (ValueError, OverflowError):
        return Q()
    if given.tzinfo is None:
        return Q()
    return Q(updated_at__lt=at) | Q(updated_at=at, id__lt=last)


def _by_day(page: Iterable[Conversation], *, now: datetime) -> list[tuple[str, list[Conversation]]]:
    today = localtime(now).date()
    names = {today: _("Today"), today - timedelta(days=1): _("Yesterday")}
    grouped = groupby(page, key=lambda conversation: localtime(conversation.updated_at).date())
    return [
        (
            names.get(day) or date_format(day, _("l j F") if day.year == today.year else _("l j F Y")),
            list(of),
        )
        for day, of in grouped
    ]
