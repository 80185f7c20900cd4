"""allauth's hooks: who may sign up, from where people come, and how second factors are kept."""

import logging
from ipaddress import ip_address
from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.totp.internal.auth import generate_totp_secret
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import language, sealing
from accounts.models import User
from accounts.requests import address_of

logger = logging.getLogger(__name__)

UNKNOWN = "0.0.0.0"  # noqa: S104  (nothing listens on it: it stands for an address that nobody knows)


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up is open or closed by the setting SIGN_UP."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether the sign-up page takes anyone; the administrator makes accounts otherwise."""
        return bool(settings.SIGN_UP_OPEN)

    def post_login(self, request: HttpRequest, user: User, **login: Any) -> HttpResponse:
        """The account's own language comes along to the browser."""
        response = super().post_login(request, user, **login)
        language.signed_in(user, response)
        sealing.seal_anew(user)
        return cast(HttpResponse, response)

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address as the last trusted proxy saw it, in a form that every database stores."""
        peer = address_of(
            forwarded=request.headers.get("X-Forwarded-For", ""), peer=request.META.get("REMOTE_ADDR", "")
        )
        try:
            return str(ip_address(peer))
        except ValueError:
            return UNKNOWN


class MFAAdapter(DefaultMFAAdapter):
    """Second factors' secrets lie sealed in the database."""

    def encrypt(self, text: str) -> str:
        """As it is kept."""
        return sealing.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """The secret; where no key opens it any more, one that nobody knows, so that no code fits."""
        try:
            return sealing.unseal(encrypted_text)
        except InvalidToken:
            logger.error("a second factor was sealed under another SECRET_KEY: name it in SECRET_KEY_FALLBACKS")
            return str(generate_totp_secret())
