"""How PostgreSQL is asked several statements in one round trip, for `statements`.

Each is prepared once on a connection, so that the server parses and plans it once and not with each send. They go as
text, since only so several go together: `EXECUTE` with the values that psycopg has quoted.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DataError
from psycopg import Connection
from psycopg.adapt import Transformer
from psycopg.errors import DivisionByZero, FeatureNotSupported, InvalidSqlStatementName
from psycopg.pq import TransactionStatus

MOST = 200  # statements that one connection keeps prepared; beyond it they go as they are


class Unchanged(Exception):
    """A statement that had to change a row found none; nothing after it was done."""


def ask(
    cursor: Any, statements: Sequence[tuple[str, Sequence[Any], bool]], meanwhile: Callable[[], object]
) -> list[tuple[list[Any], int]]:
    """The rows and their number that each statement found: its SQL, its parameters, and whether it must change a row.

    A transaction that has not begun begins along with them. `meanwhile` is called when only the server's work is left.
    Raises Unchanged.
    """
    here, own = cursor.db, cursor.cursor  # Django's connection, psycopg's cursor: their wrappers look at each call anew
    texts = [_insisting(sql) if must else sql for sql, _, must in statements]
    known = _prepared(cursor, [text for text, (_, params, _) in zip(texts, statements, strict=True) if params])
    with here.wrap_database_errors:
        batch = ";\n".join(
            known.get(text, text) % _quoted(own, params) for text, (_, params, _) in zip(texts, statements, strict=True)
        )
    with _begun(here, own.connection) as begin:
        meanwhile()
        try:
            cursor.execute(begin + batch)
        except Exception as error:
            if isinstance(error.__cause__, (FeatureNotSupported, InvalidSqlStatementName)):
                own.connection.close()  # a migration has changed what one answers, or they are gone
            if isinstance(error, DataError) and isinstance(error.__cause__, DivisionByZero):
                raise Unchanged from None
            raise
    if begin:
        own.nextset()
    found = [_result(own)]
    while own.nextset():
        found.append(_result(own))
    return found


def _quoted(own: Any, params: Sequence[Any]) -> tuple[str, ...]:
    """Values as psycopg writes them into SQL, without what its `mogrify` does to find their places, which is dearer."""
    quote = Transformer(own).as_literal
    return tuple("NULL" if value is None else quote(value).decode() for value in params)


_known: WeakKeyDictionary[Connection[Any], dict[str, str]] = WeakKeyDictionary()  # what executes each, by its SQL


def _prepared(cursor: Any, texts: Sequence[str]) -> dict[str, str]:
    """What executes statements on this connection, all of these among them, as far as there is room."""
    if cursor.db.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]:  # Django's word for a pooler that changes connections
        return {}
    own = cursor.cursor.connection
    known = _known.setdefault(own, {})
    fresh = [text for text in dict.fromkeys(texts) if text not in known][: MOST - len(known)]
    if fresh:
        with _begun(cursor.db, own) as begin:
            try:
                cursor.execute(begin + ";\n".join(_preparing(text)[0] for text in fresh))
            except Exception:
                own.close()  # some may be there, so their names are taken
                raise
        known.update((text, _preparing(text)[1]) for text in fresh)
    return known


@functools.cache
def _preparing(text: str) -> tuple[str, str]:
    """What prepares a statement, and what executes it, with a mark for each of its parameters."""
    parts = text.replace("%%", "%").split("%s")
    marked = "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], 1)) + parts[-1]
    # Named by what it is: threads that come here at the same time must not give it two names.
    name = f"chat_{hashlib.blake2s(text.encode(), digest_size=12).hexdigest()}"
    return f"PREPARE {name} AS {marked}", f"EXECUTE {name}({', '.join(['%s'] * (len(parts) - 1))})"


@functools.cache
def _insisting(sql: str) -> str:
    """The same, dividing by nought where it changes no row, which ends the batch."""
    return f"WITH changed AS ({sql} RETURNING 1) SELECT 1 / count(*) FROM changed"  # noqa: S608


@contextmanager
def _begun(here: Any, own: Connection[Any]) -> Iterator[str]:
    """What goes before the first statements of a transaction: psycopg's own BEGIN would be a round trip of its own."""
    first = not own.autocommit and _idle(own)
    if first:
        own.autocommit = True  # so that psycopg sends none; what comes now is in the transaction all the same
    try:
        yield "BEGIN;\n" if first else ""
    finally:
        if here.in_atomic_block and not own.closed and _idle(own):
            own.autocommit = False  # it has ended, or not begun: what still comes in this block begins another


def _idle(own: Connection[Any]) -> bool:
    return own.info.transaction_status == TransactionStatus.IDLE


def _result(own: Any) -> tuple[list[Any], int]:
    """What psycopg's cursor stands at; without its description, which costs more to make than the rows."""
    rows = own.fetchall() if own.pgresult.nfields else []
    return rows, own.rowcount
