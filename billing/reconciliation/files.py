"""The provider's files, as they are downloaded: pages of JSON from the API, CSV from the dashboard."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from billing.reconciliation import buckets, values
from billing.reconciliation.buckets import COSTS, USAGE, Bucket, Entry, Kind
from billing.reconciliation.figures import DAY, day_span
from billing.reconciliation.values import Unreadable

LARGEST_FILE = 64 * 1024 * 1024  # bytes
MOST_BUCKETS = 20_000
_CSV_COUNTS = {"num_model_requests", "input_tokens", "output_tokens"}
_USAGE_RESULT = "organization.usage.completions.result"
_COSTS_RESULT = "organization.costs.result"


@dataclass(slots=True, kw_only=True)
class File:
    """A file's buckets; `unfinished` where it says that further pages follow, `kind` None where all is idle."""

    name: str
    buckets: list[Bucket] = field(default_factory=list)
    kind: Kind | None = None
    unfinished: bool = False


def read(*, name: str, content: bytes) -> File:
    """A file of either form, told apart by how it begins. Raises Unreadable."""
    if len(content) > LARGEST_FILE:
        raise Unreadable(_("%(name)s is larger than %(limit)d MB.") % {"name": name, "limit": LARGEST_FILE // 2**20})
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(_("%(name)s is not UTF-8 text.") % {"name": name}) from error
    if not text.strip():
        raise Unreadable(_("%(name)s is empty.") % {"name": name})
    file = _pages(name, text) if text.lstrip()[0] in "[{" else _csv(name, text)
    kinds = {bucket.kind for bucket in file.buckets if bucket.entries}
    if len(kinds) > 1:
        raise Unreadable(_("%(name)s mixes costs and usage: give them as two files.") % {"name": name})
    file.kind = kinds.pop() if kinds else None
    if len(file.buckets) > MOST_BUCKETS:
        raise Unreadable(_("%(name)s has more than %(most)s buckets.") % {"name": name, "most": f"{MOST_BUCKETS:,}"})
    return file


def _pages(name: str, text: str) -> File:
    file = File(name=name)
    last_says_more = False
    for page in _page_objects(name, text):
        data = page.get("data") if isinstance(page, dict) else None
        if not isinstance(data, list):
            raise Unreadable(
                _("%(name)s is no page of the costs or usage API: it has no list `data`.") % {"name": name}
            )
        for number, bucket in enumerate(data, start=1):
            file.buckets.append(
                _bucket(bucket, where=_("%(name)s, bucket %(number)d") % {"name": name, "number": number})
            )
        last_says_more = bool(page.get("has_more"))
    file.unfinished = last_says_more
    return file


def _page_objects(name: str, text: str) -> Iterator[Any]:
    """A page, a list of pages, or pages one after the other."""
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)
    at = 0
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            yield from value if isinstance(value, list) else [value]
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
    except (ValueError, RecursionError) as error:
        raise Unreadable(
            _("%(name)s is no JSON: it breaks off, or is damaged, near character %(at)s.")
            % {"name": name, "at": f"{at:,}"}
        ) from error


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _bucket(given: Any, *, where: str) -> Bucket:
    results = given.get("results") if isinstance(given, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise Unreadable(_("%(where)s has no list `results`.") % {"where": where})
    kinds = {_kind(result, where=where) for result in results}
    if len(kinds) > 1:
        raise Unreadable(_("%(where)s mixes costs and usage.") % {"where": where})
    return Bucket(
        kind=kinds.pop() if kinds else COSTS,
        start=values.instant(given.get("start_time"), what=f"{where}: start_time"),
        end=values.instant(given.get("end_time"), what=f"{where}: end_time"),
        entries=tuple(_entry(result, where=where) for result in results),
    )


def _kind(result: dict[str, Any], *, where: str) -> Kind:
    named = result.get("object")
    if named == _COSTS_RESULT or (named is None and "amount" in result):
        return COSTS
    if named == _USAGE_RESULT or (named is None and "num_model_requests" in result):
        return USAGE
    raise Unreadable(
        _("%(where)s is neither of costs nor of completions: %(named)r.") % {"where": where, "named": str(named)[:60]}
    )


def _entry(result: dict[str, Any], *, where: str) -> Entry:
    if _kind(result, where=where) == USAGE:
        return buckets.usage(result, where=where)
    given = result.get("amount")
    if not isinstance(given, dict):
        raise Unreadable(_("%(where)s has no `amount`.") % {"where": where})
    return buckets.cost(result, value=given.get("value"), currency=given.get("currency"), where=where)


def _csv(name: str, text: str) -> File:
    """Rows of one bucket each; a day between the first and the last row that has none was idle."""
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="more cells", restval=None)
    columns = {(column or "").strip().lower() for column in rows.fieldnames or ()}
    costs = "amount_value" in columns
    if "start_time" not in columns or not (costs or columns & _CSV_COUNTS):
        raise Unreadable(
            _(
                "%(name)s is no CSV of the dashboard: it needs the columns start_time and amount_value, or start_time "
                "and %(columns)s."
            )
            % {"name": name, "columns": ", ".join(sorted(_CSV_COUNTS))}
        )
    kind = COSTS if costs else USAGE
    found: dict[tuple[datetime, datetime], list[Entry]] = {}
    try:
        for number, row in enumerate(rows, start=2):
            fields = {key.strip().lower(): value for key, value in row.items() if key}
            start, end, entry = _csv_row(
                fields, kind=kind, where=_("%(name)s, line %(number)d") % {"name": name, "number": number}
            )
            found.setdefault((start, end), []).append(entry)
    except csv.Error as error:
        raise Unreadable(_("%(name)s is no CSV: %(error)s.") % {"name": name, "error": error}) from error
    made = [Bucket(kind=kind, start=start, end=end, entries=tuple(lines)) for (start, end), lines in found.items()]
    days = sorted({bucket.start.date() for bucket in made})
    if days and (days[-1] - days[0]).days > MOST_BUCKETS:
        raise Unreadable(
            _("%(name)s reaches over more than %(most)s days.") % {"name": name, "most": f"{MOST_BUCKETS:,}"}
        )
    idle = set()
    if days:
        idle = {days[0] + DAY * offset for offset in range((days[-1] - days[0]).days)} - set(days)
    made += [Bucket(kind=kind, start=day_span(day).start, end=day_span(day).end, entries=()) for day in idle]
    return File(name=name, buckets=sorted(made, key=lambda bucket: bucket.start))


def _csv_row(fields: dict[str, Any], *, kind: Kind, where: str) -> tuple[datetime, datetime, Entry]:
    if any(isinstance(value, list) for value in fields.values()):
        raise Unreadable(_("%(where)s has more cells than the header.") % {"where": where})
    start = values.instant(fields.get("start_time"), what=f"{where}: start_time")
    end = day_span(start.date()).end
    if fields.get("end_time"):
        end = values.instant(fields["end_time"], what=f"{where}: end_time")
    blank = {key: value or None for key, value in fields.items()}
    if kind == USAGE:
        return start, end, buckets.usage(blank, where=where)
    line = buckets.cost(blank, value=fields.get("amount_value"), currency=fields.get("amount_currency"), where=where)
    return start, end, line
