"""Make a personal API token and print it; it can't be shown again."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import Token, User
from accounts.tokens import LONGEST_NAME

LONGEST = 3650  # days


class Command(BaseCommand):
    """`manage.py create_token EMAIL [--name N] [--days D]`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """For whom, and what to call it."""
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="what the token is for")
        parser.add_argument("--days", type=int, help="for how long it holds; until it is revoked, if left out")

    def handle(self, *args: Any, email: str, name: str, days: int | None, **options: Any) -> None:
        """Print the token alone, so that a script can take it."""
        user = User.objects.filter(email=User.objects.normalize_email(email)).first()
        if user is None:
            raise CommandError(f"Nobody signs in as {email}.")
        if not user.is_active:
            raise CommandError(f"{email} may not sign in, so a token would open nothing.")
        if len(name) > LONGEST_NAME:
            raise CommandError(f"A token's name has at most {LONGEST_NAME} characters.")
        if days is not None and not 0 < days <= LONGEST:
            raise CommandError(f"A token holds for 1 to {LONGEST} days.")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        _, secret = Token.issue(user=user, name=name, expires_at=expires_at)
        self.stdout.write(secret)
