"""Delete a person's account, as they can themselves."""

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.errors import Refusal
from accounts.models import User
from conversations import leaving


class Command(BaseCommand):
    """`manage.py delete_account EMAIL --yes`."""

    help = "Deletes all that a person wrote and anonymises the account; usage records stay, under a pseudonym."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose, and that it is meant."""
        parser.add_argument("email")
        parser.add_argument("--yes", action="store_true", help="it cannot be undone, so say that you mean it")

    def handle(self, *args: Any, email: str, yes: bool, **options: Any) -> None:
        """Delete it, and say how the books call it."""
        user = User.objects.filter(email=User.objects.normalize_email(email)).first()
        if user is None:
            raise CommandError(f"Nobody signs in as {email}. A deletion that was cut off is finished by beat.")
        if not yes:
            raise CommandError(f"This deletes all that {email} wrote, for good. Add --yes if you mean it.")
        try:
            async_to_sync(leaving.leave)(user=user, now=timezone.now())
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
        user.refresh_from_db()
        self.stdout.write(f"The account is deleted. Its usage stays, under the name {user.name}.")
