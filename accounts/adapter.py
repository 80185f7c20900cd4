"""allauth's hooks: who may sign up."""

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up is open or closed by the setting SIGN_UP."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether the sign-up page takes anyone; the administrator makes accounts otherwise."""
        return bool(settings.SIGN_UP_OPEN)
