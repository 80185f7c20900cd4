"""Who holds a connection that stays open, a socket or an event stream, and whether they still may."""

from __future__ import annotations

import time
from collections.abc import Mapping

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.authentication import bearer_secret
from accounts.errors import NotAuthenticated
from accounts.models import User
from accounts.sessions import holder_of
from accounts.tokens import token_of
from conversations.pool import in_database

LOOK_AGAIN_SECONDS = 10.0  # after which whoever is told something is asked again who they are


class Visitor:
    """Whoever opened a connection, by what they showed then: an `Authorization` header, or a session's cookie."""

    def __init__(self, *, authorization: bytes, cookies: Mapping[str, str]) -> None:
        self._secret = bearer_secret(authorization)
        session = cookies.get(settings.SESSION_COOKIE_NAME, "")
        self._session = None if "\x00" in session else session  # no session is called so, and PostgreSQL fails at it
        self._looked = time.monotonic()

    @property
    def by_token(self) -> bool:
        """Whether it is a program, or claims to be one."""
        return self._secret is not None

    @property
    def due(self) -> bool:
        """Whether it is time to ask again."""
        return time.monotonic() - self._looked >= LOOK_AGAIN_SECONDS

    def find(self) -> tuple[User, int | None] | None:
        """The user, and the personal token's id where it is one; None where neither holds. Reads the database."""
        self._looked = time.monotonic()
        if self._secret is not None:
            token = token_of(secret=self._secret, now=timezone.now())
            return None if token is None else (token.user, token.pk)
        user = holder_of(self._session)
        return (user, None) if isinstance(user, User) and user.is_active else None

    def is_still(self, user: User) -> bool:
        """Whether they are this user, and may stay. Reads the database."""
        found = self.find()
        return found is not None and found[0] == user

    async def check(self, user: User) -> None:
        """Where it is time, ask again. Raises NotAuthenticated where they were signed out."""
        if self.due and not await in_database(self.is_still, user):
            raise signed_out()


def signed_out() -> NotAuthenticated:
    """What they are told whose session or token holds no longer."""
    return NotAuthenticated(_("You were signed out, or the token holds no longer. Sign in again."))
