"""Forms in which usage rows leave the house: one module a format, each with the same two names."""

from collections.abc import Iterable
from typing import IO, Protocol

from billing.exports import csv
from billing.reports import Total, UsageRow


class Format(Protocol):
    """What a format's module offers."""

    CONTENT_TYPE: str

    def write(self, *, rows: Iterable[UsageRow], out: IO[bytes]) -> Total:
        """Write all rows with memory that does not grow with them; returns their count and their cost."""


FORMATS: dict[str, Format] = {"csv": csv}
