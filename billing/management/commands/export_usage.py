"""The finance export: every settled usage record of some days, streaming."""

import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import money, reports
from billing.exports import FORMATS, Format


class Command(BaseCommand):
    """`manage.py export_usage --from D --to D --format csv [--out FILE]`; both dates are included."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Spend dates, format, and a file instead of the standard output."""
        parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
        parser.add_argument("--out", type=Path, metavar="FILE")

    def handle(self, *args: Any, first: date, last: date, out: Path | None, **options: Any) -> None:
        """Write the export; a file appears under its name only when it is complete."""
        if first > last:
            raise CommandError("--from must not be after --to.")
        export = FORMATS[options["format"]]
        rows = reports.usage_rows(first=first, last=last)
        if out is None:
            total = export.write(rows=rows, out=sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            total = _to_file(export, rows, out)
        self.stderr.write(f"{total.calls} usage records, ${money.to_json(total.cost)} in total.")


def _to_file(export: Format, rows: Iterator[reports.UsageRow], out: Path) -> reports.Total:
    try:
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
            try:
                total = export.write(rows=rows, out=file)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(out)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise CommandError(f"{out} can't be written: {error.strerror}.") from error
    return total
