"""All of a person's data in one ZIP, made while it is sent: neither memory nor disk holds it."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson

from accounts.models import User
from billing import money, usage
from conversations.events import instant
from conversations.transfer import json, markdown, pages

CONTENT_TYPE = "application/zip"
CALLS = 500  # usage records of one query
PIECE = 65_536  # bytes that are sent at once, about
_USAGE = (
    "held_at", "feature", "model", "state", "outcome", "measured", "input_tokens", "cached_input_tokens",
    "output_tokens", "cost_usd", "conversation",
)  # fmt: skip


class _Pipe:
    """What the ZIP is written to, and sent from."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes, /) -> int:
        """Take bytes."""
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self, *, least: int = 1) -> Iterator[bytes]:
        """All that waits, if it is that much."""
        if len(self._waiting) >= least:
            data = bytes(self._waiting)
            self._waiting.clear()
            yield data


def archive(user: User, *, now: datetime) -> Iterator[bytes]:
    """The ZIP, in pieces; each takes short queries only. Its conversations can be imported again."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in _files(user):
            member = zipfile.ZipInfo(name, date_time=now.timetuple()[:6])
            member.compress_type = zipfile.ZIP_DEFLATED
            with made.open(member, "w") as file:
                for piece in content:
                    file.write(piece)
                    yield from pipe.taken(least=PIECE)
    yield from pipe.taken()


def _files(user: User) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield "account.json", [_account(user)]
    yield "usage.csv", _calls(user)
    for conversation in pages.conversations(user):
        name = pages.file_name(conversation)
        yield f"conversations/{name}.json", json.document(conversation)
        yield f"markdown/{name}.md", markdown.document(conversation)


def _account(user: User) -> bytes:
    about = {"email": user.email, "name": user.name, "joined_at": instant(user.joined_at)}
    return orjson.dumps(about, option=orjson.OPT_INDENT_2)


def _calls(user: User) -> Iterator[bytes]:
    """One line a call, the newest first; instants in UTC, costs in dollars."""
    yield _lines([_USAGE])
    before = None
    while True:
        page = usage.recent_calls(user=user, before=before, count=CALLS)
        yield _lines(map(_call, page.rows))
        before = page.before
        if before is None:
            return


def _call(row: Any) -> list[Any]:
    cells = {**row, "held_at": instant(row["held_at"])}
    cells["cost_usd"] = money.to_json(row["cost"]) if row["cost"] is not None else ""
    return ["" if cells[name] is None else cells[name] for name in _USAGE]


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
