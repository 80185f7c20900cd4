"""Sees what changes in an SQLite database, whoever changes it."""

from __future__ import annotations

import sqlite3

BOOKKEEPING = {"django_session", "usersessions_usersession", "sqlite_sequence"}  # of being signed in


class Watch:
    """Sees, by a connection of its own, which tables have changed, whoever changed them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'")
        self._tables = [name for (name,) in names if "_search_" not in name]
        self._version, self._rows = self._read()

    def _read(self) -> tuple[int, dict[str, int]]:
        version = self._database.execute("PRAGMA data_version").fetchone()[0]
        return version, {name: hash(tuple(self._database.execute(f'SELECT * FROM "{name}"'))) for name in self._tables}

    def changed(self) -> set[str]:
        """Since the last time it was asked; the bookkeeping of sessions aside."""
        if self._database.execute("PRAGMA data_version").fetchone()[0] == self._version:
            return set()
        before = self._rows
        self._version, self._rows = self._read()
        return {name for name in self._tables if before[name] != self._rows[name]} - BOOKKEEPING
