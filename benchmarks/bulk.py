"""Filling tables by the million: without triggers, and with the indexes made once, after the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

MEMORY = "512MB"  # for making one index


@contextmanager
def bulk(connection: psycopg.Connection, *tables: str) -> Iterator[None]:
    """Rows that are added inside to `tables` meet no trigger, no foreign key and no index but the primary key.

    What is added must be right by itself: nothing is checked but by the unique indexes, at the end.
    """
    connection.execute("SET session_replication_role = replica")
    connection.execute(sql.SQL("SET maintenance_work_mem = {}").format(MEMORY))
    made_again = [statement for table in tables for statement in _taken_away(connection, table)]
    yield
    for statement in made_again:
        connection.execute(sql.SQL(statement))
    connection.execute("SET session_replication_role = origin")


def _taken_away(connection: psycopg.Connection, table: str) -> list[sql.LiteralString]:
    """Drop a table's unique constraints and indexes; returns the statements that make them anew."""
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'u'",
        [table],
    ).fetchall()
    for name, _ in constraints:
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(name))
        )
    indexes = connection.execute(
        "SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index JOIN pg_class i ON i.oid = indexrelid"
        " WHERE indrelid = %s::regclass AND NOT indisprimary",
        [table],
    ).fetchall()
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    anew = [f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}' for name, definition in constraints]
    return [*anew, *(definition for _, definition in indexes)]
