"""What commands take, for argparse."""

from argparse import ArgumentTypeError
from datetime import date

from django.core.management.base import CommandError

from accounts.models import User
from billing import days


def day(text: str) -> date:
    """A day such as 2026-10-31."""
    found = date.fromisoformat(text)
    if why := days.refusal(found):
        raise ArgumentTypeError(why)
    return found


def month(text: str) -> date:
    """The first day of a month such as 2026-10."""
    return day(f"{text}-01")


def active_user(email: str | None) -> User:
    """In whose name something is done: somebody who may sign in. Raises CommandError."""
    if email is None:
        raise CommandError("Say in whose name: --by with the e-mail address of a user.")
    user = User.objects.filter(email=User.objects.normalize_email(email), is_active=True).first()
    if user is None:
        raise CommandError(f"Nobody who may sign in has the address {email}.")
    return user
