"""Render what is stored anew: after an upgrade that changed how Markdown becomes HTML."""

from typing import Any

from django.core.management.base import BaseCommand

from conversations.rendered import render_anew


class Command(BaseCommand):
    """`manage.py render_messages`."""

    help = "Renders the HTML of all stored answers anew, as the renderer makes it today. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        """Render, and say how many."""
        seen, changed = render_anew()
        self.stdout.write(f"{changed} of {seen} answers rendered anew.")
