"""Add newly settled usage records to daily spend; with dates, compute those days anew."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import rollup
from billing.management import arguments


class Command(BaseCommand):
    """`manage.py rollup_spend [--from D --to D]`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Both dates or neither."""
        parser.add_argument("--from", dest="first", type=arguments.day, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=arguments.day, metavar="YYYY-MM-DD")

    def handle(self, *args: Any, first: date | None, last: date | None, **options: Any) -> None:
        """Roll up, or rebuild the days given, and say how many records that were."""
        if first is None and last is None:
            self.stdout.write(f"{rollup.roll_up()} usage records added to daily spend.")
            return
        if first is None or last is None or first > last:
            raise CommandError("Give both --from and --to, the earlier date first.")
        days = (last - first).days + 1
        self.stdout.write(f"{days} days computed anew from {rollup.rebuild(first=first, last=last)} usage records.")
