"""Close a calendar month that is over: its records are fixed, added up and hashed. It is never opened again."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from billing import closing, money
from billing.management import arguments


class Command(BaseCommand):
    """`manage.py close_month YYYY-MM --by EMAIL`; where it was interrupted, again."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """The month, and who signs for it."""
        parser.add_argument("month", type=arguments.month, metavar="YYYY-MM")
        parser.add_argument("--by", required=True, metavar="EMAIL", help="Whose name the trail keeps.")

    def handle(self, *args: Any, month: date, by: str, **options: Any) -> None:
        """Close it, and print what was sealed."""
        user = arguments.active_user(by)
        try:
            closed = closing.close(month=month, by=user, now=timezone.now())
        except closing.NotClosable as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"{closed} is closed: {closed.records} records, ${money.to_json(closed.cost or 0)}.")
        self.stdout.write(f"SHA-256 {closed.sha256}")
