"""Who asks: a personal token in the `Authorization` header."""

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import Token, User
from accounts.tokens import token_of


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
