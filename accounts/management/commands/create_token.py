"""Make a personal API token and print it; it can't be shown again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Token, User


class Command(BaseCommand):
    """`manage.py create_token EMAIL [--name N]`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """For whom, and what to call it."""
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="what the token is for")

    def handle(self, *args: Any, email: str, name: str, **options: Any) -> None:
        """Print the token alone, so that a script can take it."""
        user = User.objects.filter(email=User.objects.normalize_email(email)).first()
        if user is None:
            raise CommandError(f"Nobody signs in as {email}.")
        if not user.is_active:
            raise CommandError(f"{email} may not sign in, so a token would open nothing.")
        _, secret = Token.issue(user=user, name=name)
        self.stdout.write(secret)
