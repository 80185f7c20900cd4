"""Where a person is signed in: which browsers, and how one or all of them are signed out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import get_user, update_session_auth_hash
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts.errors import NotFound
from accounts.models import User
from accounts.statements import Statement

SEEN_EVERY = timedelta(minutes=5)  # a write per request would make every read a write
REMEMBERED = timedelta(hours=1)
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


# Plain SQL: every send of a tab asks. All that a session must know of its user (`get_session_auth_hash`) is compared.
_HOLDS = """
SELECT 1 FROM django_session AS session JOIN accounts_user AS person ON person.id = %s
WHERE session.session_key = %s AND session.expire_date > %s
AND person.is_active AND person.password = %s AND person.sign_outs = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A browser that is signed in."""

    id: int
    name: str
    address: str
    since: datetime
    seen_at: datetime
    here: bool


def holder(request: HttpRequest) -> User | AnonymousUser:
    """Whom a request's session signs in, as Django finds them; one of an earlier secret key keeps its name.

    Django would give it another, of which a socket cannot tell the browser, and delete the row by which the browser's
    other requests ask at the same time. Here its hash becomes one of the key that there is now.
    """
    session: Any = request.session
    session.cycle_key = lambda: None
    try:
        return get_user(request)
    finally:
        del session.cycle_key


def holder_of(session_key: str | None) -> User | AnonymousUser:
    """Whom the session of that key signs in."""
    request = HttpRequest()
    request.session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(session_key)
    return holder(request)


def holding(*, session_key: str | None, user: User, now: datetime) -> Statement:
    """Whether a session still signs in the user whom `holder_of` found by it: then it answers with a row."""
    return Statement(_HOLDS, [user.pk, session_key, now, user.password, user.sign_outs])


def places(request: HttpRequest, user: User) -> list[Place]:
    """Where a user is signed in, here first, then the last seen; what has ended meanwhile is forgotten."""
    here = request.session.session_key
    UserSession.objects.create_from_request(request)
    found = [
        Place(
            id=session.pk,
            name=browser_name(session.user_agent),
            address=session.ip,
            since=session.created_at,
            seen_at=session.last_seen_at,
            here=session.session_key == here,
        )
        for session in UserSession.objects.filter(user=user)
        if _lives(session)
    ]
    return sorted(found, key=lambda place: (not place.here, -place.seen_at.timestamp()))


def _lives(session: UserSession) -> bool:
    if holder_of(session.session_key).is_authenticated:
        return True
    session.delete()
    return False


def note(request: HttpRequest) -> bool:
    """Keep that a signed-in browser is still seen, `SEEN_EVERY` after it was noticed first or was kept last.

    Whether it was time to.
    """
    key = f"session.seen.{request.session.session_key}"
    now, since = timezone.now(), cache.get(key)
    if since is not None and now - since < SEEN_EVERY:
        return False
    if not request.user.is_authenticated:
        return False  # nothing is kept for keys that anyone can make up
    cache.set(key, now, REMEMBERED.total_seconds())
    if since is None:
        return False
    UserSession.objects.create_from_request(request)
    return True


def end(user: User, session_id: int) -> None:
    """Sign one browser out. NotFound where it is another's, or signed out already."""
    session = UserSession.objects.filter(user=user, pk=session_id).first()
    if session is None:
        raise NotFound
    session.end()


def end_all(user: User) -> None:
    """Sign every browser out, also those that the list has never seen."""
    User.objects.filter(pk=user.pk).update(sign_outs=F("sign_outs") + 1)
    for session in UserSession.objects.filter(user=user):
        session.end()


def end_others(request: HttpRequest, user: User) -> None:
    """Sign every browser out but this one, whose session gets a new key."""
    end_all(user)
    user.refresh_from_db(fields=["sign_outs"])
    update_session_auth_hash(request, user)
    UserSession.objects.create_from_request(request)


def browser_name(user_agent: str) -> str:
    """What a person calls their browser, of the header that it sends."""

    def named(names: tuple[tuple[str, str], ...]) -> Any:
        return next((name for mark, name in names if re.search(rf"\b{mark}", user_agent)), None)

    browser, system = named(BROWSERS), named(SYSTEMS)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown browser")
