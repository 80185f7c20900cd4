"""Where the words of all texts are kept for searching, and how a search asks for them.

The database itself keeps them, by triggers, so that nothing that writes text can forget them. PostgreSQL:
a column of words beside each text, with a GIN index (migration 0003). SQLite: an FTS5 index without a copy
of the text. There Django changes a table by making it anew, which loses its triggers, and none may name a
table that is just being made; so they go before migrations run, and index and triggers are made after them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from django.db import connection, connections
from django.db.models import UUIDField
from django.db.models.expressions import RawSQL

MOST_WORDS = 8  # of one search; further ones are left out
LONGEST_WORD = 100  # characters; a longer one is searched by its beginning
INDEXED = 200_000  # characters of a text; as many words as are sure to fit PostgreSQL's tsvector

_TRIGGERS = ("message_added", "message_changed", "message_gone", "title_added", "title_changed", "title_gone")
_FORGET = """
    INSERT INTO conversations_words (conversations_words, rowid, body, owner)
        SELECT 'delete', id, substr({old}, 1, {indexed}), owner FROM conversations_text WHERE {mine};
    DELETE FROM conversations_text WHERE {mine};"""
_KEEP = """
    INSERT INTO conversations_text (conversation_id, message_id, owner)
        SELECT id, {message}, 'u' || user_id FROM conversations_conversation
        WHERE id = {conversation} AND NOT temporary AND {new} <> '';
    INSERT INTO conversations_words (rowid, body, owner)
        SELECT id, substr({new}, 1, {indexed}), owner FROM conversations_text WHERE {mine};"""
_TABLES = f"""
CREATE TABLE IF NOT EXISTS conversations_text
    (id integer PRIMARY KEY, conversation_id char(32) NOT NULL, message_id char(32) UNIQUE, owner text NOT NULL);
CREATE INDEX IF NOT EXISTS conversations_text_title ON conversations_text (conversation_id) WHERE message_id IS NULL;
CREATE VIRTUAL TABLE IF NOT EXISTS conversations_words
    USING fts5 (body, owner, content = '', detail = column, tokenize = 'unicode61 remove_diacritics 0');
INSERT INTO conversations_text (conversation_id, message_id, owner)
    SELECT message.conversation_id, message.id, 'u' || user_id FROM conversations_message AS message
    JOIN conversations_conversation AS conversation ON conversation.id = message.conversation_id
    WHERE NOT temporary AND message.content <> ''
    UNION ALL
    SELECT id, NULL, 'u' || user_id FROM conversations_conversation WHERE NOT temporary AND title <> '';
INSERT INTO conversations_words (rowid, body, owner)
    SELECT place.id, substr(coalesce(message.content, title), 1, {INDEXED}), owner FROM conversations_text AS place
    JOIN conversations_conversation AS conversation ON conversation.id = place.conversation_id
    LEFT JOIN conversations_message AS message ON message.id = place.message_id;
"""  # noqa: S608


def of(text: str) -> list[str]:
    """The words of a search, in lower case."""
    return [word[:LONGEST_WORD] for word in re.findall(r"[^\W_]+", text.lower())[:MOST_WORDS]]


def conversations_with(words: Collection[str], *, user_id: int) -> RawSQL:
    """The ids of a user's conversations in whose title or in one of whose messages all words begin a word."""
    query = _query(words, user_id)
    if connection.vendor == "postgresql":
        sql = (
            "SELECT id FROM conversations_conversation WHERE words @@ %s::tsquery"
            " UNION ALL SELECT conversation_id FROM conversations_message WHERE words @@ %s::tsquery"
        )
        return RawSQL(sql, [query, query])  # noqa: S611  (its values are parameters)
    return RawSQL(f"SELECT conversation_id FROM conversations_text WHERE {_MATCHES}", [query])  # noqa: S608, S611


def newest_messages(words: Collection[str], *, user_id: int, within: Collection[UUID]) -> dict[UUID, UUID]:
    """Of conversations, by id, the newest message each that has all the words; one query, and only hits are read."""
    if not within:
        return {}
    found = (
        "conversations_message WHERE words @@ %s::tsquery"
        if connection.vendor == "postgresql"
        else f"(SELECT conversation_id, message_id AS id FROM conversations_text WHERE {_MATCHES}) WHERE id IS NOT NULL"  # noqa: S608
    )
    among = ", ".join(["%s"] * len(within))
    sql = (
        "SELECT conversation_id, id FROM (SELECT conversation_id, id, row_number() OVER"  # noqa: S608
        f" (PARTITION BY conversation_id ORDER BY id DESC) AS place FROM {found} AND conversation_id IN ({among}))"
        " AS hits WHERE place = 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [_query(words, user_id), *(_KEY.get_db_prep_value(pk, connection) for pk in within)])
        return {UUID(str(conversation)): UUID(str(message)) for conversation, message in cursor.fetchall()}


def forget_deleted() -> None:
    """Drop what the index still holds of texts that are gone; PostgreSQL's vacuum does it by itself."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO conversations_words (conversations_words) VALUES ('optimize')")


def before_migrations(*, using: str, plan: Any = (), **_: Any) -> None:
    """Take the triggers away from tables that are about to change."""
    if connections[using].vendor == "sqlite" and plan:
        _run(using, [f"DROP TRIGGER IF EXISTS {name}" for name in _TRIGGERS])


def after_migrations(*, using: str, plan: Any = (), **_: Any) -> None:
    """Make index and triggers anew, where anything was migrated."""
    if connections[using].vendor == "sqlite" and plan:
        drops = ["DROP TABLE IF EXISTS conversations_words", "DROP TABLE IF EXISTS conversations_text"]
        _run(using, [*(f"DROP TRIGGER IF EXISTS {name}" for name in _TRIGGERS), *drops])
        _run(using, [*_TABLES.split(";\n"), *_triggers()])


_KEY = UUIDField()
_MATCHES = "id IN (SELECT rowid FROM conversations_words WHERE conversations_words MATCH %s)"


def _query(words: Collection[str], user_id: int) -> str:
    """The words, and their owner as one more, in the database's own language; words hold no character that it has."""
    if connection.vendor == "postgresql":
        return " & ".join([f"'@{user_id}'", *(f"'{word}':*" for word in words)])
    return " AND ".join([f"owner : u{user_id}", *(f'body : "{word}" *' for word in words)])


def _triggers() -> Iterator[str]:
    message = {"mine": "message_id = {row}.id", "message": "NEW.id", "conversation": "NEW.conversation_id"}
    title = {"mine": "message_id IS NULL AND conversation_id = {row}.id", "message": "NULL", "conversation": "NEW.id"}
    for name, table, column, terms in (
        ("message", "conversations_message", "content", message),
        ("title", "conversations_conversation", "title", title),
    ):
        old = {"old": f"OLD.{column}", "indexed": INDEXED, **terms, "mine": terms["mine"].format(row="OLD")}
        new = {"new": f"NEW.{column}", "indexed": INDEXED, **terms, "mine": terms["mine"].format(row="NEW")}
        forget, keep = _FORGET.format(**old), _KEEP.format(**new)
        yield f"CREATE TRIGGER {name}_added AFTER INSERT ON {table} BEGIN {keep} END"
        yield f"CREATE TRIGGER {name}_changed AFTER UPDATE OF {column} ON {table} BEGIN {forget}{keep} END"
        yield f"CREATE TRIGGER {name}_gone AFTER DELETE ON {table} BEGIN {forget} END"


def _run(using: str, statements: list[str]) -> None:
    with connections[using].cursor() as cursor:
        for statement in statements:
            if statement.strip():
                cursor.execute(statement)
