"""A user's list of conversations, grouped by day, a page at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.db.models import Q
from django.utils.timezone import localtime

from accounts.models import User
from conversations.models import Conversation

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of conversations under the names of their days; `before` leads to the next, empty at the end."""

    days: list[tuple[str, list[Conversation]]]
    before: str


def listing(*, user: User, now: datetime, search: str = "", before: str = "") -> Listing:
    """A user's newest conversations that are not archived; one query. Days are those of the active time zone.

    `search` looks in titles. `before` is the cursor of an earlier listing; one that does not fit is ignored.
    """
    found = Conversation.objects.of(user).filter(archived=False)
    if search:
        found = found.filter(title__icontains=search)
    page = list(found.filter(_below(before)).order_by("-updated_at", "-id").only("title", "updated_at")[: PAGE + 1])
    more = len(page) > PAGE
    return Listing(days=_by_day(page[:PAGE], now=now), before=_cursor(page[PAGE - 1]) if more else "")


def _cursor(conversation: Conversation) -> str:
    return f"{conversation.updated_at.isoformat()}_{conversation.pk}"


def _below(cursor: str) -> Q:
    instant, _, pk = cursor.partition("_")
    try:
        at, last = datetime.fromisoformat(instant), uuid.UUID(pk)
    except ValueError:
        return Q()
    if at.tzinfo is None:
        return Q()
    return Q(updated_at__lt=at) | Q(updated_at=at, id__lt=last)


def _by_day(page: Iterable[Conversation], *, now: datetime) -> list[tuple[str, list[Conversation]]]:
    today = localtime(now).date()
    names = {today: "Today", today - timedelta(days=1): "Yesterday"}
    grouped = groupby(page, key=lambda conversation: localtime(conversation.updated_at).date())
    return [
        (
            names.get(day) or f"{day:%A} {day.day} {day:%B}" + (f" {day.year}" if day.year != today.year else ""),
            list(of),
        )
        for day, of in grouped
    ]
