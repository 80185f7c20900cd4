"""What a FOCUS row needs to know of a usage record: its price, the list price beside it, what it corrects."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any, NamedTuple

from billing.models import MonthClosing, Price, UsageRecord
from billing.rows import CHUNK, ordered
from billing.selection import Selection


class Root(NamedTuple):
    """The record at the beginning of a chain of corrections."""

    kind: str
    spend_date: date
    held_at: datetime


class Record(NamedTuple):
    """A settled usage record; `cost` in nano-dollars."""

    pk: int
    kind: str
    calls: int
    corrects_id: int | None
    user_id: int
    user_name: str
    group_id: int | None
    group_name: str
    feature: str
    model: str
    price_id: int | None
    provider_request_id: str
    spend_date: date
    held_at: datetime
    measured: str
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    extra_tokens: dict[str, int] | None
    cost: int


def records(selection: Selection) -> Iterator[tuple[Record, Root | None]]:
    """The records in the order of every export, each with the root of its chain where it corrects another."""
    found = map(Record._make, ordered(selection).values_list(*Record._fields).iterator(chunk_size=CHUNK))
    while chunk := list(islice(found, CHUNK)):
        roots = _roots({record.corrects_id for record in chunk if record.corrects_id is not None})
        for record in chunk:
            yield record, roots[record.corrects_id] if record.corrects_id is not None else None


def _roots(wanted: Iterable[int]) -> dict[int, Root]:
    """The root of each record asked for; a query for each step of the longest chain."""
    above: dict[int, int | None] = {}
    known: dict[int, Root] = {}
    missing = set(wanted)
    while missing:
        rows = UsageRecord.objects.filter(pk__in=missing).values_list(
            "pk", "corrects_id", "kind", "spend_date", "held_at"
        )
        for pk, corrects_id, kind, spend_date, held_at in rows:
            above[pk], known[pk] = corrects_id, Root(kind, spend_date, held_at)
        missing = {pk for pk in above.values() if pk is not None} - above.keys()
    return {pk: known[_top(pk, above)] for pk in above}


def _top(pk: int, above: dict[int, int | None]) -> int:
    while (following := above[pk]) is not None:
        pk = following
    return pk


class Closings:
    """Which months are closed since when: finance has invoiced them."""

    def __init__(self) -> None:
        self._since = dict(MonthClosing.objects.values_list("month", "started_at"))

    def invoiced(self, *, day: date, at: datetime) -> bool:
        """Whether the month of a day was closed at an instant."""
        since = self._since.get(day.replace(day=1))
        return since is not None and since <= at


class Prices:
    """Every price version, and the list price that a negotiated one stands beside."""

    def __init__(self) -> None:
        self._by_id: dict[int, Price] = {price.pk: price for price in Price.objects.all()}
        self._listed: dict[str, list[tuple[datetime, int]]] = {}
        for price in self._by_id.values():
            if price.source == Price.Source.CATALOGUE:
                self._listed.setdefault(price.model, []).append((price.effective_from, price.pk))
        for versions in self._listed.values():
            versions.sort()

    def contracted(self, price_id: int) -> Price:
        """The price that a record names."""
        return self._by_id[price_id]

    def listed(self, price: Price, *, at: datetime) -> Price:
        """The list price of the model at an instant; the price itself where there is none."""
        if price.source != Price.Source.NEGOTIATED:
            return price
        versions = self._listed.get(price.model, [])
        place = bisect.bisect_right(versions, at, key=_since)
        return self._by_id[versions[place - 1][1]] if place else price


def _since(version: tuple[datetime, Any]) -> datetime:
    return version[0]
