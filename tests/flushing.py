"""Emptying the test database, although it refuses to delete what the product never deletes."""

from typing import Any

from django.db import OperationalError, connection
from django.db.backends.postgresql.operations import DatabaseOperations as PostgreSQLOperations
from django.db.backends.sqlite3.base import DatabaseOperations
from psycopg.errors import DeadlockDetected

TRIES = 10


def without_triggers(monkeypatch: Any) -> None:
    """Let SQLite's flush, which deletes row by row, take the triggers off that refuse it, and put them back.

    PostgreSQL truncates, and needs nothing.
    """
    flush = DatabaseOperations.sql_flush

    def sql_flush(self: DatabaseOperations, *args: Any, **kwargs: Any) -> list[str]:
        with connection.cursor() as cursor:
            # Only those that refuse; others keep the index for searching, and must run.
            refusing = "type = 'trigger' AND sql LIKE '%RAISE%'"
            cursor.execute(f"SELECT name, sql FROM sqlite_master WHERE {refusing} ORDER BY name")
            triggers = cursor.fetchall()
        drop = [f'DROP TRIGGER "{name}"' for name, _ in triggers]
        return [*drop, *flush(self, *args, **kwargs), *(sql for _, sql in triggers)]

    monkeypatch.setattr(DatabaseOperations, "sql_flush", sql_flush)


def again_after_deadlock(monkeypatch: Any) -> None:
    """Let PostgreSQL's flush, which wants all tables for itself, be tried again where the product was reading."""
    flush = PostgreSQLOperations.execute_sql_flush

    def execute_sql_flush(self: PostgreSQLOperations, sql_list: list[str]) -> None:
        for left in reversed(range(TRIES)):
            try:
                return flush(self, sql_list)
            except OperationalError as error:
                if not left or not isinstance(error.__cause__, DeadlockDetected):
                    raise
        return None

    monkeypatch.setattr(PostgreSQLOperations, "execute_sql_flush", execute_sql_flush)
