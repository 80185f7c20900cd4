"""allauth's hooks: who may sign up, and from where people come."""

from ipaddress import ip_address
from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import language
from accounts.models import User
from accounts.requests import address_of

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
