"""Compare the provider's costs and usage with our records; exits 1 where they differ.

The files are pages of OpenAI's /organization/costs and /organization/usage/completions as JSON, or CSV of
the dashboard. Days are UTC, as the provider counts them.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from django.utils import timezone

from accounts.errors import Refusal
from billing.exports.safe import safe
from billing.management import arguments
from billing.reconciliation import COLUMNS, Result, reconcile, runs


class Command(BaseCommand):
    """`manage.py reconcile --from D --to D [--key ID=FINGERPRINT] [--format F] [--keep --by EMAIL] FILE…`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Days, both included; files; which key is which; how to write it; whether to keep the proposals."""
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--from", dest="first", type=arguments.day, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=arguments.day, required=True, metavar="YYYY-MM-DD")
        parser.add_argument(
            "--key", dest="keys", action="append", default=[], metavar="ID=FINGERPRINT",
            help="the provider's name of a key, and the fingerprint by which our records tell it; once a key",
        )  # fmt: skip
        parser.add_argument("--format", choices=["text", "json", "csv"], default="text")
        parser.add_argument("--keep", action="store_true", help="keep it, so that its proposals can be booked")
        parser.add_argument("--by", metavar="EMAIL", help="whose comparison it is; with --keep")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, compare, write; 0 where nothing differs."""
        keys = _keys(options["keys"])
        try:
            files = [(file.name, file.read_bytes()) for file in options["files"]]
            result = reconcile(files=files, first=options["first"], last=options["last"], keys=keys)
            self._write(result, options["format"])
            if options["keep"]:
                self._keep(files, keys=keys, options=options)
        except OSError as error:
            raise CommandError(f"{error.filename} can't be read: {error.strerror}.") from error
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
        if result.differences:
            sys.exit(1)

    def _write(self, result: Result, form: str) -> None:
        if form == "json":
            self.stdout.write(json.dumps(result.report(), indent=1, ensure_ascii=False))
            return
        if form == "csv":
            writer = csv.writer(self.stdout)
            writer.writerow(COLUMNS)
            for row in result.rows():
                writer.writerow([_cell(row[name]) for name in COLUMNS])
        else:
            for difference in result.differences:
                self.stdout.write(difference.sentence)
                for draft in difference.drafts:
                    self.stdout.write(f"  → {draft.sentence}")
        for note in [*result.notes, result.sentence]:
            (self.stderr if form == "csv" else self.stdout).write(note)

    def _keep(self, files: list[tuple[str, bytes]], *, keys: dict[str, str], options: dict[str, Any]) -> None:
        by = arguments.active_user(options["by"])
        kept = runs.run(
            files=files, first=options["first"], last=options["last"], keys=keys, by=by, clock=timezone.now
        )  # fmt: skip
        self.stderr.write(f"Kept. Its proposals can be booked at {reverse('reconciliation', args=[kept.pk])}.")


def _cell(value: Any) -> Any:
    text = " ".join(value) if isinstance(value, list) else value
    return safe(text) if isinstance(text, str) and not text.lstrip("-").replace(".", "", 1).isdecimal() else text


def _keys(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not all(name and fingerprint for name, _, fingerprint in pairs):
        raise CommandError("--key takes the provider's name of a key and our fingerprint: --key key_abc=1a2b3c4d5e6f.")
    return {name.strip(): fingerprint.strip() for name, _, fingerprint in pairs}
