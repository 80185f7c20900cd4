"""Parquet out of rows: a batch at a time, decimals as decimals. See docs/decisions for the choice of library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Any

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import write_parquet

BATCH = 2000  # rows turned at once
GROUP_VALUES = 400_000  # of a row group, which is what is held in memory
PRECISION, SCALE = 38, 18

TEXT, INTEGER, TRUTH = DataType.string(), DataType.int64(), DataType.bool()
DECIMAL = DataType.decimal128(PRECISION, SCALE)
DATE = DataType.date32()
INSTANT = DataType.timestamp("us", tz="UTC")
# What the values of a column are where the library takes no others: decimals and dates as text.
_GIVEN = {"decimal": TEXT, "date": TEXT, "instant": INTEGER}
_TYPES = {
    "text": TEXT, "integer": INTEGER, "truth": TRUTH, "decimal": DECIMAL, "date": DATE, "instant": INSTANT,
}  # fmt: skip


class Column:
    """A column: its name, its kind (`text`, `integer`, `truth`, `decimal`, `date`, `instant`), whether it has nulls.

    Decimals and dates are given as text, instants as microseconds since 1970.
    """

    def __init__(self, name: str, kind: str, *, nullable: bool) -> None:
        self.name = name
        self.kind = kind
        self.field = Field(name, _TYPES[kind], nullable=nullable)

    def array(self, values: Sequence[Any]) -> Array:
        """The values as the library holds them."""
        if self.kind not in _GIVEN:
            return Array(values, type=self.field.type)
        return Array(values, type=_GIVEN[self.kind]).cast(self.field.type)


def write(
    *, columns: Sequence[Column], rows: Iterable[Sequence[Any]], out: IO[bytes], note: tuple[str, str] | None = None
) -> None:
    """Write rows of values, in the order of the columns. What the rows raise is raised.

    `note` is a key with its value in the file's metadata; one, as the library puts several in any order,
    and the same rows should give the same file.
    """
    schema = Schema([column.field for column in columns])
    failure: list[BaseException] = []

    def batches() -> Iterator[RecordBatch]:
        try:
            yield from _batches(columns, schema, iter(rows))
        except BaseException as error:
            failure.append(error)  # the library would make another of it
            raise

    try:
        write_parquet(
            RecordBatchReader.from_batches(schema, batches()),
            out,
            compression="zstd(3)",
            max_row_group_size=GROUP_VALUES // len(columns),
            key_value_metadata=dict([note] if note else []),
            skip_arrow_metadata=True,
        )
    except Exception:
        if failure:
            raise failure[0] from None
        raise


def _batches(columns: Sequence[Column], schema: Schema, rows: Iterator[Sequence[Any]]) -> Iterator[RecordBatch]:
    while (batch := _batch(columns, schema, rows)) is not None:
        yield batch


def _batch(columns: Sequence[Column], schema: Schema, rows: Iterator[Sequence[Any]]) -> RecordBatch | None:
    """The next rows, of which nothing else is kept; None at the end."""
    taken = list(islice(rows, BATCH))
    if not taken:
        return None
    arrays = [column.array(values) for column, values in zip(columns, zip(*taken, strict=True), strict=True)]
    return RecordBatch.from_arrays(arrays, schema=schema)
