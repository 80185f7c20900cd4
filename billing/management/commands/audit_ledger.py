"""Prove that budget periods, usage records, prices and daily spend agree; exits 1 where they do not."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from billing.audit import Audit


class Command(BaseCommand):
    """`manage.py audit_ledger`."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Print each difference, then what was counted and the verdict."""
        audit = Audit()
        found = 0
        for difference in audit.differences():
            found += 1
            self.stdout.write(difference)
        for what, count in audit.counts.items():
            self.stdout.write(f"{count:>12,} {what}")
        self.stdout.write("clean" if not found else f"{found} differences")
        if found:
            sys.exit(1)
