"""What every format's module offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Protocol

from billing.selection import Selection

# Told every now and then how many records are done; what it raises ends the export.
Watch = Callable[[int], None]
LOOK_EVERY = 1000  # records between two looks


def unwatched(done: int) -> None:
    """For whoever does not want to know."""


@dataclass(slots=True, kw_only=True)
class Written:
    """What has been written: lines of data, usage records, calls, and their cost in nano-dollars."""

    rows: int = 0
    records: int = 0
    calls: int = 0
    cost: int = 0

    def add(self, *, calls: int, cost: int, rows: int = 1) -> None:
        """Count one record in."""
        self.rows += rows
        self.records += 1
        self.calls += calls
        self.cost += cost


class Format(Protocol):
    """A format: how it is called, and how it is written."""

    @property
    def LABEL(self) -> str:  # noqa: N802
        """For people."""

    @property
    def SUFFIX(self) -> str:  # noqa: N802
        """The end of a file's name, with its dot."""

    @property
    def CONTENT_TYPE(self) -> str:  # noqa: N802
        """For HTTP."""

    def write(self, *, selection: Selection, out: IO[bytes], watch: Watch = unwatched) -> Written:
        """Write all records from one snapshot, with memory that does not grow with them; returns what they are."""
