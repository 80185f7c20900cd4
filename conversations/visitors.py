"""Who holds a connection that stays open, a socket or an event stream, and whether they still may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.authentication import bearer_secret
from accounts.errors import AWAY, NotAuthenticated
from accounts.models import User
from accounts.sessions import holder_of, holding
from accounts.statements import Statement, run
from accounts.tokens import token_of
from conversations.pool import in_database

LOOK_AGAIN_SECONDS = 10.0  # after which nobody is told anything before it is known again who they are
AHEAD = 0.1  # of that: so much sooner it is asked, so that the answer is there by then and nobody waits for it


class Visitor:
    """Whoever opened a connection, by what they showed then: an `Authorization` header, or a session's cookie."""

    def __init__(self, *, authorization: bytes, cookies: Mapping[str, str]) -> None:
        self._secret = bearer_secret(authorization)
        session = cookies.get(settings.SESSION_COOKIE_NAME, "")
        self._session = None if "\x00" in session else session  # no session is called so, and PostgreSQL fails at it
        self._looked = time.monotonic()  # when what is known was asked
        self._asking: asyncio.Task[None] | None = None
        self._over = False

    @property
    def by_token(self) -> bool:
        """Whether it is a program, or claims to be one."""
        return self._secret is not None

    def find(self) -> tuple[User, int | None] | None:
        """The user, and the personal token's id where it is one; None where neither holds. Reads the database."""
        began = time.monotonic()
        try:
            if self._secret is not None:
                token = token_of(secret=self._secret, now=timezone.now())
                return None if token is None else (token.user, token.pk)
            user = holder_of(self._session)
            return (user, None) if isinstance(user, User) and user.is_active else None
        finally:
            self._looked = began

    def holding(self, user: User, now: datetime) -> Statement:
        """Whether a session's cookie still is that of this user, whom `find` has found: then it answers with a row."""
        return holding(session_key=self._session, user=user, now=now)

    def is_still(self, user: User) -> bool:
        """Whether they are this user, and may stay. Reads the database."""
        if self._secret is not None:
            found = self.find()
            return found is not None and found[0] == user
        self._looked = time.monotonic()
        return bool(run(self.holding(user, timezone.now()))[0].rows)

    async def check(self, user: User) -> None:
        """Before they are told something: where it is time, ask again. Raises NotAuthenticated where they were signed
        out; not where the database is away, for what is told must arrive.
        """
        age = time.monotonic() - self._looked
        if self._asking is None and age >= LOOK_AGAIN_SECONDS * (1 - AHEAD):
            self._asking = asyncio.create_task(self._ask(user))
        if self._asking is not None and age >= LOOK_AGAIN_SECONDS:
            await asyncio.shield(self._asking)
        if self._over:
            raise signed_out()

    async def _ask(self, user: User) -> None:
        try:
            self._over = not await in_database(self.is_still, user)
        except AWAY:
            pass
        finally:
            self._asking = None


def signed_out() -> NotAuthenticated:
    """What they are told whose session or token holds no longer."""
    return NotAuthenticated(_("You were signed out, or the token holds no longer. Sign in again."))
