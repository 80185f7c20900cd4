"""The settled usage records one by one, as exports show them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from types import NoneType
from typing import Any, NamedTuple, get_args, get_type_hints

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce

from billing.models import UsageRecord
from billing.selection import Selection
from billing.snapshot import snapshot

CHUNK = 2000  # rows fetched at once


class UsageRow(NamedTuple):
    """One settled usage record; `cost` in nano-dollars. Corrections are rows of their own, signed."""

    spend_date: date
    held_at: datetime
    settled_at: datetime
    record_id: int
    kind: str
    calls: int
    corrects_record_id: int | None
    user_id: int
    user_name: str
    group_name: str
    feature: str
    model: str
    price_id: int | None
    price_source: str | None
    key_fingerprint: str
    provider_request_id: str
    outcome: str
    measured: str
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    reason: str
    cost: int


def _kind(hint: Any) -> tuple[type, bool]:
    given = [part for part in get_args(hint) if part is not NoneType] or [hint]
    return given[0], NoneType in get_args(hint)


# The type of each column, and whether it can be empty.
KINDS: dict[str, tuple[type, bool]] = {name: _kind(hint) for name, hint in get_type_hints(UsageRow).items()}
# Where the record has another name for it.
COLUMNS = {"record_id": "pk", "corrects_record_id": "corrects_id", "price_source": "price__source"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSum:
    """What some records come to; `cost` in nano-dollars."""

    records: int
    calls: int
    cost: int


def ordered(selection: Selection) -> QuerySet[UsageRecord]:
    """The records of a selection in the order of every export: oldest day first."""
    return selection.records().order_by("spend_date", "pk")


@contextmanager
def usage_rows(selection: Selection) -> Iterator[Iterator[UsageRow]]:
    """The rows of a selection, from one snapshot, a chunk at a time: memory does not grow with their number.

    The snapshot is over when the block is, also where not all rows were read.
    """
    columns = [COLUMNS.get(name, name) for name in UsageRow._fields]
    with snapshot():
        found: Any = ordered(selection).values_list(*columns).iterator(chunk_size=CHUNK)
        with closing(found):
            yield map(UsageRow._make, found)


def add_up(selection: Selection) -> RecordSum:
    """How many records, how many calls, what cost; the caller's snapshot decides what is seen."""
    sums = selection.records().aggregate(
        records=Count("pk"), counted=Coalesce(Sum("calls"), 0), costs=Coalesce(Sum("cost"), 0)
    )
    return RecordSum(records=sums["records"], calls=int(sums["counted"]), cost=int(sums["costs"]))


def at_most(selection: Selection, most: int) -> bool:
    """Whether a selection has no more records than that; looks at no more than it must."""
    return selection.records().order_by()[: most + 1].count() <= most
