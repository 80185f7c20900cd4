"""An end user, a staff user and a finance user to try the product with; safe to repeat."""

import secrets
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from accounts.models import User

PEOPLE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("user@example.com", {"name": "Una User"}, ""),
    ("staff@example.com", {"name": "Stan Staff", "is_staff": True, "is_superuser": True}, ""),
    ("finance@example.com", {"name": "Fiona Finance"}, "Finance"),
)


class Command(BaseCommand):
    """`manage.py seed_demo [--password P]`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """One password for all three, or random ones, printed once."""
        parser.add_argument("--password", help="for all three; without it new users get random ones")

    def handle(self, *args: Any, password: str | None, **options: Any) -> None:
        """Make who is missing; print the passwords of those who got a new one."""
        for email, fields, group in PEOPLE:
            given = _seed(email=email, fields=fields, group=group, password=password)
            self.stdout.write(f"{email:<22} {'password ' + given if given else 'was here already, password unchanged'}")


@transaction.atomic
def _seed(*, email: str, fields: dict[str, Any], group: str, password: str | None) -> str | None:
    """Make a user where it is missing; returns the password that it got now, or None."""
    user, made = User.objects.get_or_create(email=email, defaults=fields)
    given = password or (secrets.token_urlsafe(12) if made else None)
    if given:
        user.set_password(given)
        user.save(update_fields=["password"])
    if group:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    EmailAddress.objects.update_or_create(user=user, email=email, defaults={"verified": True, "primary": True})
    return given
