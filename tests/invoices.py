"""The provider's files, written from the shapes of its API and its dashboard, for the tests of reconciliation."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple


class Used(NamedTuple):
    """What the provider counts of some calls, and charges in dollars."""

    calls: int
    input: int
    output: int
    cached: int = 0
    dollars: str = "0"


Figures = Mapping[date, Mapping[tuple[str, str | None], Used]]  # by day, then by model and key


def unix(day: date, hour: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp())


def cost(model: str | None, dollars: object, *, item: str = "input", **fields: Any) -> dict[str, Any]:
    """A result of /organization/costs."""
    line_item = None if model is None else f"{model}, {item}"
    return {
        "object": "organization.costs.result", "amount": {"value": dollars, "currency": "usd"},
        "line_item": line_item, "project_id": None, "api_key_id": None, "quantity": None, **fields,
    }  # fmt: skip


def usage(model: str | None, used: Used, **fields: Any) -> dict[str, Any]:
    """A result of /organization/usage/completions."""
    return {
        "object": "organization.usage.completions.result", "num_model_requests": used.calls,
        "input_tokens": used.input, "input_cached_tokens": used.cached, "output_tokens": used.output,
        "input_uncached_tokens": used.input - used.cached, "input_cache_write_tokens": 0, "input_audio_tokens": 0,
        "output_audio_tokens": 0, "model": model, "project_id": None, "user_id": None, "api_key_id": None,
        "batch": None, "service_tier": None, **fields,
    }  # fmt: skip


def bucket(day: date, *results: dict[str, Any], start: int | None = None, end: int | None = None) -> dict[str, Any]:
    """A day, or the hours of it from `start` to `end`."""
    following = day + timedelta(days=1)
    return {
        "object": "bucket",
        "start_time": unix(day, start or 0),
        "end_time": unix(following) if end is None else unix(day, end),
        "results": list(results),
    }


def page(*buckets: dict[str, Any], has_more: bool = False) -> bytes:
    """A page of the API; amounts that are Decimals are written as they are, as a float would be."""
    given = {"object": "page", "data": list(buckets), "has_more": has_more, "next_page": "page_2" if has_more else None}
    return json.dumps(given, default=_number).replace('"number ', "").replace(' number"', "").encode()


def _number(value: Decimal) -> str:
    return f"number {value} number"


def days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def files(figures: Figures, first: date, last: date) -> list[tuple[str, bytes]]:
    """Costs and usage of all days, idle ones included."""
    costs, used = [], []
    for day in days(first, last):
        of_day = figures.get(day, {}).items()
        costs.append(bucket(day, *(cost(m, Decimal(found.dollars), api_key_id=key) for (m, key), found in of_day)))
        used.append(bucket(day, *(usage(m, found, api_key_id=key) for (m, key), found in of_day)))
    return [("costs.json", page(*costs)), ("usage.json", page(*used))]


def dashboard(*rows: tuple[date, str, str], **extra: str) -> bytes:
    """The dashboard's CSV of cost by line item: (day, line item, amount)."""
    out = io.StringIO()
    header = [
        "start_time", "end_time", "amount_value", "amount_currency", "line_item", "project_id", "project_name",
        "organization_id", "organization_name", *extra,
    ]  # fmt: skip
    writer = csv.writer(out)
    writer.writerow(header)
    for day, item, amount in rows:
        place = [unix(day), unix(day + timedelta(days=1)), amount, "usd", item, "proj_1", "Chat", "org-1", "Company"]
        writer.writerow([*place, *extra.values()])
    return out.getvalue().encode("utf-8-sig")
