"""End the replies whose process died: what beat runs, by hand."""

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand
from django.utils import timezone

from conversations import recovery


class Command(BaseCommand):
    """`manage.py recover_replies`."""

    help = "Ends replies whose lease has run out, as interrupted, with the text that they had."

    def handle(self, *args: Any, **options: Any) -> None:
        """Recover, and say how many."""
        count = async_to_sync(recovery.recover_replies)(now=timezone.now())
        self.stdout.write(f"{count} abandoned replies ended.")
