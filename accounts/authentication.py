"""Who asks: a personal token in the `Authorization` header."""

from datetime import datetime, timedelta

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import Token, User
from accounts.statements import Statement, columns, loaded_each, run

# Every request and every send asks this. Revoked, expired, or of a user who may not sign in, it holds no longer.
_HOLDS = """
FROM accounts_token AS token JOIN accounts_user AS person ON person.id = token.user_id
WHERE token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > %s) AND person.is_active
"""
_READ = f"SELECT {columns(Token, 'token')}, {columns(User, 'person')} {_HOLDS} AND token.digest = %s"
LAST_USED_GRANULARITY = timedelta(minutes=1)  # a write per request would make every read a write


def token_of(*, secret: str, now: datetime) -> Token | None:
    """The token with its user that a secret stands for, or None where it holds no longer; notes that it was used."""
    found = run(Statement(_READ, [now, Token.hash(secret)]))[0].rows
    if not found:
        return None
    token: Token
    token, token.user = loaded_each(found[0], Token, User)
    if token.last_used_at is None or now - token.last_used_at >= LAST_USED_GRANULARITY:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def holding(*, token_id: int, now: datetime) -> list[Statement]:
    """Whether a token that was shown before still holds: the last one answers with a row. Notes that it was used."""
    return [
        Statement(
            "UPDATE accounts_token SET last_used_at = %s WHERE id = %s AND last_used_at < %s",
            [now, token_id, now - LAST_USED_GRANULARITY],
        ),
        Statement(f"SELECT 1 {_HOLDS} AND token.id = %s", [now, token_id]),
    ]


def bearer_secret(header: bytes) -> str | None:
    """The secret in an `Authorization: Bearer …` header, or None where it holds none."""
    scheme, _, secret = header.partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    return secret.strip().decode("ascii", "replace")


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <personal token>`."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        """The token's user, and the token; AuthenticationFailed where a token is sent that does not hold."""
        secret = bearer_secret(get_authorization_header(request))
        if secret is None:
            return None
        token = token_of(secret=secret, now=timezone.now())
        if token is None:
            raise AuthenticationFailed
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"
