"""Plain SQL for the few roads that are walked so often that the ORM's own work on a query counts.

What one piece of work asks for goes to the database together: PostgreSQL answers several statements in
one round trip, each seeing what the ones before it did and what others have committed by then.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import Field, Model

from accounts import batches
from accounts.batches import Unchanged as Unchanged

M = TypeVar("M", bound=Model)


class Statement(NamedTuple):
    """SQL that PostgreSQL and SQLite both understand, with `%s` for each parameter.

    `must`: it has to change a row, or what comes after it is not done.
    """

    sql: str
    params: Sequence[Any] = ()
    must: bool = False


class Found(NamedTuple):
    """What a statement answered: the rows that it returned, and how many it returned or changed."""

    rows: list[Any]
    number: int


# PostgreSQL holds locks for as long as a commit waits for the disk. This one does not wait; but the next, which writes
# a word into the journal behind it, does, and so whoever asked goes on only when both are safe.
_SAFE = Statement("SELECT pg_logical_emit_message(true, 'safe', '')")
_COMMIT = (Statement("SET LOCAL synchronous_commit TO off"), Statement("COMMIT"), _SAFE)


def run(*statements: Statement, meanwhile: Callable[[], object] = lambda: None) -> list[Found]:
    """Run statements in their order; what each found. A transaction that has not begun begins along with them.

    `meanwhile` is called when they are about to go to the database: it may set going elsewhere what needs not wait.
    Raises Unchanged where one that must has changed nothing; the transaction is broken then, as by an error.
    """
    here = _here()
    with here.cursor() as cursor:
        if here.vendor == "postgresql":
            return [Found(*found) for found in batches.ask(cursor, statements, meanwhile)]
        meanwhile()
        return [_found(cursor, one) for one in statements]


def finish(*statements: Statement, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Run the last statements of a transaction, its commit along with them; nothing more can be asked in its block.

    So what they lock is let go by the database itself, without waiting until this process has its turn, nor until the
    disk has it; that is waited for afterwards, together with others. Raises Unchanged, with nothing committed, where
    one that must has changed nothing. Where the block is not the outermost, or the database takes one statement at a
    time, the transaction is committed as ever. `meanwhile`: as of `run`.
    """
    here = _here()
    if here.vendor != "postgresql" or len(here.atomic_blocks) != 1 or here.run_on_commit:
        run(*statements, meanwhile=meanwhile)
    else:
        run(*statements, *_COMMIT, meanwhile=meanwhile)
        transaction.set_rollback(True)  # of nothing: it keeps anything that comes after from beginning anew


def make_safe() -> None:
    """Wait until the disk has all that is committed by now, whoever was not told of it. Outside any transaction."""
    if _here().vendor == "postgresql":
        run(_SAFE)


def next_key(model: type[Model]) -> Statement:
    """What gives away the key of a new row before the row is written, so that what names it can go along with it."""
    table = model._meta.db_table
    if _here().vendor == "postgresql":  # its own name for what counts an identity column; asking for it is dearer
        return Statement("SELECT nextval(%s)", [f"{table}_id_seq"])
    return Statement("SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = %s), 0) + 1", [table])


def insert(row: Model) -> Statement:
    """Write a new row, whose every field has a value or a default of its own in Python, or a key of its own."""
    columns, fields = _columns(type(row), row.pk is not None)
    values = _saved((field, field.pre_save(row, True)) for field in fields)
    marks = ", ".join(["%s"] * len(values))
    return Statement(f'INSERT INTO "{row._meta.db_table}" ({columns}) VALUES ({marks})', values)  # noqa: S608


def update(
    model: type[Model], values: Mapping[str, Any], *, where: str, params: Sequence[Any], must: bool = False
) -> Statement:
    """Change the rows for which a condition holds."""
    fields: list[tuple[Any, Any]] = [(model._meta.get_field(name), value) for name, value in values.items()]
    changes = ", ".join(f'"{field.column}" = %s' for field, _ in fields)
    saved = [*_saved(fields), *params]
    return Statement(f'UPDATE "{model._meta.db_table}" SET {changes} WHERE {where}', saved, must)  # noqa: S608


def columns(model: type[Model], alias: str, names: Sequence[str] = ()) -> str:
    """Columns of a model, all or those of the fields named, in the order that `loaded` takes them."""
    return ", ".join(f'{alias}."{field.column}"' for field in _fields(model, tuple(names)))


def loaded(model: type[M], row: Sequence[Any], names: Sequence[str] = ()) -> M:
    """The object that a row of its columns is; fields that were not read are read when they are asked for."""
    here = _here()
    fields, converters = _loading(model, tuple(names), here.vendor)
    values = list(row)
    for place, convert, expression in converters:
        values[place] = convert(values[place], expression, here)
    return model.from_db(here.alias, fields, values)


def loaded_each(row: Sequence[Any], *models: type[Model]) -> list[Any]:
    """The objects that a row of all columns of several models is, in their order."""
    values = iter(row)
    return [loaded(model, list(islice(values, len(model._meta.concrete_fields)))) for model in models]


def _here() -> Any:
    """This thread's connection itself: `django.db.connection` looks for it anew with each use."""
    return connections[DEFAULT_DB_ALIAS]


def _saved(values: Iterable[tuple[Any, Any]]) -> list[Any]:
    """What fields write for their values."""
    here = _here()
    return [None if value is None else field.get_db_prep_save(value, here) for field, value in values]


def _adapted(value: Any) -> Any:
    """A parameter as SQLite takes it."""
    if isinstance(value, UUID):
        return value.hex
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def _found(cursor: Any, statement: Statement) -> Found:
    """What SQLite finds."""
    cursor.execute(statement.sql, [_adapted(value) for value in statement.params])
    found = _answer(cursor)
    if statement.must and not found.number:
        raise Unchanged
    return found


def _answer(cursor: Any) -> Found:
    if cursor.description is None:
        return Found([], cursor.rowcount)
    rows = cursor.fetchall()
    return Found(rows, len(rows))


@functools.cache
def _columns(model: type[Model], keyed: bool) -> tuple[str, list[Field[Any, Any]]]:
    """What an INSERT names: all columns, without a key that the database gives where the row has none."""
    fields = [field for field in model._meta.concrete_fields if keyed or field is not model._meta.auto_field]
    return ", ".join(f'"{field.column}"' for field in fields), fields


@functools.cache
def _fields(model: type[Model], names: tuple[str, ...]) -> list[Any]:
    named: dict[str, Any] = {field.name: field for field in model._meta.concrete_fields}
    return [named[name] for name in names or named]


@functools.cache
def _loading(model: type[Model], names: tuple[str, ...], vendor: str) -> tuple[list[str], list[tuple[int, Any, Any]]]:
    """What to call the values of a row, and what turns those into Python's that the database gives in another form."""
    fields = _fields(model, names)
    expressions = [field.get_col(model._meta.db_table) for field in fields]
    converters = [
        (place, convert, each)
        for place, each in enumerate(expressions)
        for convert in (*connection.ops.get_db_converters(each), *each.get_db_converters(connection))
    ]
    return [field.attname for field in fields], converters
