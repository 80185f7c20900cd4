"""An end user, a staff user and a finance user to try the product with, and months of demo data; safe to repeat."""

import secrets
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import demo, prices
from billing.models import Price

PEOPLE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("user@example.com", {"name": "Una User"}, ""),
    ("staff@example.com", {"name": "Stan Staff", "is_staff": True, "is_superuser": True}, ""),
    ("finance@example.com", {"name": "Fiona Finance"}, "Finance"),
)
MOST_MONTHS = 36


class Command(BaseCommand):
    """`manage.py seed_demo [--password P] [--months N]`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """One password for all three, or random ones, printed once; and how many months of calls."""
        parser.add_argument("--password", help="for all three; without it new users get random ones")
        parser.add_argument(
            "--months", type=int, default=0, metavar="N",
            help="a dozen people's calls of this month and of the N - 1 before it, priced as gpt-4o and gpt-4o-mini",
        )  # fmt: skip

    def handle(self, *args: Any, password: str | None, months: int, **options: Any) -> None:
        """Make who is missing; print the passwords of those who got a new one; then the months."""
        if not 0 <= months <= MOST_MONTHS:
            raise CommandError(f"--months takes 0 to {MOST_MONTHS}.")
        unchanged = False
        for email, fields, group in PEOPLE:
            given = _seed(email=email, fields=fields, group=group, password=password)
            unchanged = unchanged or not given
            self.stdout.write(f"{email:<22} {'password ' + given if given else 'was here already, password unchanged'}")
        self.stdout.write("All three chat; staff also opens /admin/, finance /reports/.")
        if unchanged:
            self.stdout.write("No longer known? .venv/bin/python manage.py seed_demo --password P sets all three.")
        if months:
            self._seed_months(months)

    def _seed_months(self, months: int) -> None:
        now = timezone.now()
        if not _priced(now):
            prices.sync(now=now)
        priced = _priced(now)
        if priced is None:
            raise CommandError("The price list knows neither gpt-4o nor gpt-4o-mini.")
        done = demo.seed(months=months, by=User.objects.get(email="staff@example.com"), prices=priced, now=now)
        self.stdout.write(f"{done.records} usage records of {done.days} days added.")
        if done.skipped:
            self.stdout.write(f"Left out, as their month is closed: {len(done.skipped)} days.")


def _priced(now: Any) -> dict[str, Price] | None:
    found = Price.objects.in_force_of(names=demo.MODELS, at=now)
    return found if len(found) == len(demo.MODELS) else None


@transaction.atomic
def _seed(*, email: str, fields: dict[str, Any], group: str, password: str | None) -> str | None:
    """Make a user where it is missing; returns the password that it got now, or None."""
    user, made = User.objects.get_or_create(email=email, defaults=fields)
    given = password or (secrets.token_urlsafe(12) if made or not user.has_usable_password() else None)
    if given:
        user.set_password(given)
        user.save(update_fields=["password"])
    if group:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    EmailAddress.objects.update_or_create(user=user, email=email, defaults={"verified": True, "primary": True})
    return given
