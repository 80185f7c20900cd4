"""Prices from the packaged catalogue, as new effective-dated rows."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing import money, prices


class Command(BaseCommand):
    """`manage.py sync_prices`; safe to repeat."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Add what is new or changed, and say what."""
        new = prices.sync(now=timezone.now())
        if options["verbosity"] > 1:
            for price in new:
                self.stdout.write(
                    f"{price.model}: ${money.to_json(price.input_price)} in, ${money.to_json(price.output_price)} out "
                    f"per million tokens ({price.get_source_display()})"
                )
        self.stdout.write(f"{len(new)} new prices.")
