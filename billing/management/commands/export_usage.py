"""The finance export: every settled usage record of some days, streaming."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import IO, Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.errors import InvalidRequest
from billing import agreement, exports, money
from billing.exports.focus import metadata
from billing.exports.focus.columns import DEFAULT_VERSION, VERSIONS
from billing.management import arguments
from billing.selection import Selection

T = TypeVar("T")


class Command(BaseCommand):
    """`manage.py export_usage --from D --to D --format F [--out FILE]`, or `--check`; both dates are included."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Spend dates, format, and a file instead of the standard output."""
        parser.add_argument("--from", dest="first", type=arguments.day, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=arguments.day, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--format", choices=sorted(exports.FORMATS), default="csv")
        parser.add_argument("--focus-version", choices=sorted(VERSIONS), default=DEFAULT_VERSION)
        parser.add_argument("--out", type=Path, metavar="FILE", help="of FOCUS, the metadata goes beside it")
        parser.add_argument(
            "--check", action="store_true", help="write every format, read it again, and compare all totals"
        )

    def handle(self, *args: Any, first: date, last: date, out: Path | None, **options: Any) -> None:
        """Write the export; a file appears under its name only when it is complete."""
        if first > last:
            raise CommandError("--from must not be after --to.")
        selection = Selection(first=first, last=last)
        if options["check"]:
            self._check(selection)
            return
        try:
            form = exports.of(options["format"], focus_version=options["focus_version"])
        except InvalidRequest as refusal:
            raise CommandError(refusal.message) from refusal
        if out is None:
            written = _to_output(form, selection)
        else:
            written = _to_file(out, lambda file: form.write(selection=selection, out=file))
            if options["format"].startswith("focus"):
                said = metadata.document(options["focus_version"])
                _to_file(out.with_name(f"{out.stem}.metadata.json"), lambda file: file.write(said))
        self.stderr.write(f"{written.records} usage records, ${money.to_json(written.cost)} in total.")

    def _check(self, selection: Selection) -> None:
        """Print what each form of the same days comes to; exits 1 where two differ."""
        totals = agreement.totals(selection)
        for found in totals:
            rows = "" if found.rows is None else f"{found.rows:>12,} rows"
            self.stdout.write(
                f"{found.name:<24} ${money.to_dollars(found.cost):>24,.9f}{rows:>20}  {found.sha256}".rstrip()
            )
        if len({found.cost for found in totals}) > 1:
            raise CommandError("They differ.")
        self.stdout.write("All totals are equal.")


def _to_output(form: exports.Format, selection: Selection) -> exports.Written:
    try:
        written = form.write(selection=selection, out=sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try it once more at its end
        raise CommandError(f"The standard output can't be written: {error.strerror}.") from error
    return written


def _to_file(out: Path, write: Callable[[IO[bytes]], T]) -> T:
    try:
        if out.exists() and not out.is_file():  # a pipe or a device: it is written to, and nothing takes its place
            with out.open("wb") as place:
                return write(place)
        out = out.resolve()  # a link stays one
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
            try:
                written = write(file)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(out)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise CommandError(f"{out} can't be written: {error.strerror}.") from error
    return written
