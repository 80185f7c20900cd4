"""Values out of foreign JSON, of which nothing is certain: each reader takes anything. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

LONGEST_ID = 200
TITLE_LENGTH = 200
_MILLISECONDS = 100_000_000_000  # a time above this many seconds would lie after the year 5138
_SURROGATES = re.compile("[\ud800-\udfff]")


def text(value: object) -> str:
    """A text that every database stores, without U+0000 and halves of characters; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    return _SURROGATES.sub("\ufffd", value.replace("\x00", ""))


def title(value: object) -> str:
    """A title on one line, cut where it is too long."""
    return " ".join(text(value)[: 4 * TITLE_LENGTH].split())[:TITLE_LENGTH]


def identifier(value: object) -> str | None:
    """An id; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    cleaned = text(value)
    return cleaned if 0 < len(cleaned) <= LONGEST_ID else None


def mapping(value: object) -> dict[str, Any]:
    """An object; empty for what is none."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """An array; empty for what is none."""
    return value if isinstance(value, list) else []


def moment(value: object, *, now: datetime) -> datetime | None:
    """An instant given in seconds or milliseconds since 1970 or as ISO 8601; None for what is none, or is to come."""
    found: datetime | None = None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        seconds = value / 1000 if value > _MILLISECONDS else value
        if seconds <= _MILLISECONDS:
            found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    elif isinstance(value, str) and len(value) <= 40:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
        found = found.replace(tzinfo=found.tzinfo or UTC)
    if found is None or found.year < 1971:
        return None
    # In UTC, for Python knows offsets of almost a day and PostgreSQL none beyond 16 hours.
    return found.astimezone(UTC) if found <= now + timedelta(days=1) else None
