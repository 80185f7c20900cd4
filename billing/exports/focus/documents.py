"""FOCUS rows as files: CSV, where a null is an empty field, and Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import IO, Any

from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest
from billing.exports import arrow
from billing.exports.csv import FLUSH, flush
from billing.exports.focus import metadata
from billing.exports.focus.charges import Charge, Charges
from billing.exports.focus.columns import DEFAULT_VERSION, VERSIONS
from billing.exports.focus.records import records
from billing.exports.format import LOOK_EVERY, Watch, Written, unwatched
from billing.exports.safe import safe
from billing.selection import Selection
from billing.snapshot import snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusFile:
    """FOCUS of a version in one of the two forms."""

    version: str = DEFAULT_VERSION
    parquet: bool = False

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            known = " / ".join(VERSIONS)
            raise InvalidRequest(
                _("FOCUS can be %(versions)s here.") % {"versions": known},
                fields={"focus_version": [_("Either %(versions)s.") % {"versions": known}]},
            )

    @property
    def LABEL(self) -> str:  # noqa: N802
        """For people."""
        plain = f"FOCUS {self.version}"
        return _("%(focus)s as Parquet") % {"focus": plain} if self.parquet else plain

    @property
    def SUFFIX(self) -> str:  # noqa: N802
        """The end of a file's name."""
        return f".focus-{self.version}.{'parquet' if self.parquet else 'csv'}"

    @property
    def CONTENT_TYPE(self) -> str:  # noqa: N802
        """For HTTP."""
        return "application/vnd.apache.parquet" if self.parquet else "text/csv; charset=utf-8"

    def write(self, *, selection: Selection, out: IO[bytes], watch: Watch = unwatched) -> Written:
        """Write a row per usage record and token class. Raises what `watch` raises."""
        written = Written()
        with snapshot():
            charges = _charges(selection, written, watch)
            if self.parquet:
                self._write_parquet(charges, out)
            else:
                self._write_csv(charges, out)
        return written

    def _write_csv(self, charges: Iterator[Charge], out: IO[bytes]) -> None:
        columns = VERSIONS[self.version]
        names = [column.name for column in columns]
        free = {column.name for column in columns if column.kind == "text"}
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(names)
        for charge in charges:
            writer.writerow([_cell(charge.get(name), name in free) for name in names])
            if buffer.tell() >= FLUSH:
                flush(buffer, out)
        flush(buffer, out)

    def _write_parquet(self, charges: Iterator[Charge], out: IO[bytes]) -> None:
        columns = VERSIONS[self.version]
        kinds = {"json": "text"}
        turned = {column.name for column in columns if column.kind == "instant"}
        rows = (
            [_micros(charge[name]) if name in turned else charge.get(name) for name, *_ in columns]
            for charge in charges
        )
        arrow.write(
            columns=[
                arrow.Column(column.name, kinds.get(column.kind, column.kind), nullable=column.nullable)
                for column in columns
            ],
            rows=rows,
            out=out,
            note=("FOCUS", json.dumps({"FocusVersion": self.version, "SchemaId": metadata.schema_id(self.version)})),
        )


def _charges(selection: Selection, written: Written, watch: Watch) -> Iterator[Charge]:
    charges = Charges()
    for record, root in records(selection):
        rows = list(charges.of(record, root))
        written.add(calls=record.calls, cost=sum(row["x_CostNanoDollars"] for row in rows), rows=len(rows))
        yield from rows
        if not written.records % LOOK_EVERY:
            watch(written.records)


def _cell(value: Any, free: bool) -> Any:
    if value is True or value is False:
        return "true" if value else "false"
    return safe(value) if free and value else value


@cache
def _micros(instant: str) -> int:
    return int(datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()) * 1_000_000


CSV, PARQUET = FocusFile(), FocusFile(parquet=True)
