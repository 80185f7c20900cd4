"""A person's own tokens: made, shown, listed, revoked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest, NotFound
from accounts.models import Token, User
from accounts.statements import Statement, columns, loaded_each, run

DAYS = (7, 30, 90, 365)  # for which a token may hold; None: until it is revoked
MOST = 50  # of one user that hold at once
LONGEST_NAME = 100
SHOWN = 100
LAST_USED_GRANULARITY = timedelta(minutes=1)  # a write per request would make every read a write

# Revoked, expired, or of a user who may not sign in, a token opens nothing. Plain SQL: every request and send asks.
_THAT_HOLD = """
FROM accounts_token AS token JOIN accounts_user AS person ON person.id = token.user_id
WHERE token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > %s) AND person.is_active
"""
_SHOWN = f"SELECT {columns(Token, 'token')}, {columns(User, 'person')} {_THAT_HOLD} AND token.digest = %s"
_KNOWN = f"SELECT 1 {_THAT_HOLD} AND token.id = %s"
_OWN = f"SELECT COUNT(*) {_THAT_HOLD} AND token.user_id = %s"
_USED = "UPDATE accounts_token SET last_used_at = %s WHERE id = %s AND last_used_at < %s"


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
        if run(Statement(_OWN, [now, user.pk]))[0].rows[0][0] >= MOST:
            raise TooMany(_("You have %(most)d tokens that hold. Revoke one first.") % {"most": MOST}, fields={})
        return Token.issue(user=user, name=name, expires_at=None if days is None else now + timedelta(days=days))


def token_of(*, secret: str, now: datetime) -> Token | None:
    """The token with its user that a secret stands for, or None where it holds no longer; notes that it was used."""
    found = run(Statement(_SHOWN, [now, Token.hash(secret)]))[0].rows
    if not found:
        return None
    token: Token
    token, token.user = loaded_each(found[0], Token, User)
    if token.last_used_at is None or now - token.last_used_at >= LAST_USED_GRANULARITY:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def holding(*, token_id: int, now: datetime) -> list[Statement]:
    """Whether a token that was shown before still holds: the last one answers with a row. Notes that it was used."""
    return [Statement(_USED, [now, token_id, now - LAST_USED_GRANULARITY]), Statement(_KNOWN, [now, token_id])]


def revoke(*, user: User, token_id: int, now: datetime) -> Token:
    """The token opens nothing from now on; one that was revoked before stays as it was. NotFound for another's."""
    token = Token.objects.filter(user=user, pk=token_id).first()
    if token is None:
        raise NotFound
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        token.revoked_at = now
    return token
