"""A person's own tokens: made, listed, revoked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest, NotFound
from accounts.models import Token, User

DAYS = (7, 30, 90, 365)  # for which a token may hold; None: until it is revoked
MOST = 50  # of one user that hold at once
LONGEST_NAME = 100
SHOWN = 100


class TooMany(InvalidRequest):
    """As many tokens hold as one person may have."""


def own(user: User, *, now: datetime) -> list[Token]:
    """A user's tokens: those that hold first, each part the newest first; no more than `SHOWN`."""
    found: Iterable[Token] = Token.objects.filter(user=user).order_by("-pk")[:SHOWN]
    return sorted(found, key=lambda token: not token.holds(now=now))


def issue(*, user: User, name: str, days: int | None, now: datetime) -> tuple[Token, str]:
    """Make a token and give its secret, which is kept nowhere. Raises InvalidRequest, TooMany."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or "\x00" in name:
        raise InvalidRequest(
            _("Say what the token is for."),
            fields={"name": [_("Between 1 and %(most)d characters.") % {"most": LONGEST_NAME}]},
        )
    if days is not None and days not in DAYS:
        raise InvalidRequest(
            _("A token cannot hold that long."), fields={"days": [_("One of %(days)s, or nothing.") % {"days": DAYS}]}
        )
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two at once are counted one after the other
        if Token.objects.valid(now=now).filter(user=user).count() >= MOST:
            raise TooMany(_("You have %(most)d tokens that hold. Revoke one first.") % {"most": MOST}, fields={})
        return Token.issue(user=user, name=name, expires_at=None if days is None else now + timedelta(days=days))


def revoke(*, user: User, token_id: int, now: datetime) -> Token:
    """The token opens nothing from now on; one that was revoked before stays as it was. NotFound for another's."""
    token = Token.objects.filter(user=user, pk=token_id).first()
    if token is None:
        raise NotFound
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        token.revoked_at = now
    return token
