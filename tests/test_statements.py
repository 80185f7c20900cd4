"""Several statements in one round trip to PostgreSQL, and the connections that they go by."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import (
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    close_old_connections,
    connection,
    transaction,
)
from django.test.utils import CaptureQueriesContext

from accounts import batches
from accounts.statements import Statement, Unchanged, finish, make_safe, run
from deploy.cluster.stores import PostgreSQL
from tests.processes import ROOT, dying_with_parent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only("scaled")]

ADD = "INSERT INTO things (id, at) VALUES (%s, %s)"
CHANGE = "UPDATE things SET at = %s WHERE id = %s"
ALL = Statement("SELECT id FROM things ORDER BY id")
# Writes row after row, and says of each that it is safe, until the database is gone.
WRITING = """
import itertools, django
django.setup()
from django.db import connection, transaction
from accounts.statements import Statement, finish, run
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE things (id int)")
for number in itertools.count():
    with transaction.atomic():
        finish(Statement("INSERT INTO things VALUES (%s)", [number]))
    print(number, flush=True)
"""


@pytest.fixture(autouse=True)
def things(db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE things (id int PRIMARY KEY, at date, name uuid)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE things")


def add(number: int) -> Statement:
    return Statement(ADD, [number, date(2026, 3, 15)])


def there() -> list[int]:
    """As another connection sees it: what is committed."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
        return [number for (number,) in other.execute(ALL.sql).fetchall()]


def test_what_begins_with_its_first_statements_ends_with_its_block() -> None:
    with transaction.atomic():
        run(add(1), add(2))
        assert there() == []
        run(add(3))
    assert there() == [1, 2, 3]
    with transaction.atomic():
        run(add(4))
        run(add(5))
        transaction.set_rollback(True)
    run(add(6))
    assert there() == [1, 2, 3, 6]


@pytest.mark.parametrize(
    "broken", [add(1), Statement("SELEC"), Statement("SELEC %s", [1])], ids=["key", "word", "form"]
)
def test_a_block_whose_first_statements_fail_changes_nothing(broken: Statement) -> None:
    run(add(1))
    with pytest.raises((IntegrityError, ProgrammingError)), transaction.atomic():
        run(add(2), broken)
    assert there() == [1]
    with transaction.atomic():
        run(add(3))
        assert there() == [1]
    assert there() == [1, 3]


def test_a_block_goes_on_as_a_transaction_where_its_first_statements_were_not_understood() -> None:
    with transaction.atomic():
        with pytest.raises(ProgrammingError):
            run(Statement("SELEC"))
        run(add(1))
        assert there() == []
        transaction.set_rollback(True)
    assert there() == []


def test_a_block_whose_commit_fails_changes_nothing_and_goes_on_as_a_transaction() -> None:
    run(Statement("ALTER TABLE things ADD UNIQUE (at) DEFERRABLE INITIALLY DEFERRED"))
    with transaction.atomic():
        run(add(1))
        with pytest.raises(IntegrityError):
            finish(add(2))
        run(add(3))
        assert there() == []
        transaction.set_rollback(True)
    assert there() == []


def test_what_is_finished_is_committed_and_takes_nothing_more() -> None:
    with transaction.atomic():
        run(add(1))
        finish(add(2))
        assert there() == [1, 2]
        with pytest.raises(transaction.TransactionManagementError):
            run(add(3))
    with transaction.atomic():
        run(add(4))
    assert there() == [1, 2, 4]


def test_an_inner_block_does_not_commit_the_outer_one() -> None:
    with transaction.atomic():
        with transaction.atomic():
            finish(add(1))
        run(add(2))
        transaction.set_rollback(True)
    assert there() == []


def test_what_is_to_follow_the_commit_follows_it() -> None:
    seen: list[list[int]] = []
    with transaction.atomic():
        run(add(1))
        transaction.on_commit(lambda: seen.append(there()))
        finish(add(2))
    assert seen == [[1, 2]]


def test_nothing_follows_what_had_to_change_a_row_and_did_not() -> None:
    run(add(1))
    with pytest.raises(Unchanged), transaction.atomic():
        finish(Statement(CHANGE, [None, 1], must=True), add(2), Statement(CHANGE, [None, 9], must=True), add(3))
    assert there() == [1]
    with transaction.atomic():
        run(Statement("SAVEPOINT before"))
        with pytest.raises(Unchanged):
            finish(add(2), Statement(CHANGE, [None, 9], must=True))
        run(Statement("ROLLBACK TO SAVEPOINT before"))
        finish(add(3), Statement(CHANGE, [None, 1], must=True))
    assert there() == [1, 3]


def test_a_statement_is_prepared_once_on_a_connection_and_answers_the_same() -> None:
    values: list[tuple[date | None, UUID | None]] = [(date(2026, 3, 15), uuid4()), (None, None), (date.max, uuid4())]
    asked = [Statement("SELECT %s::date, %s::uuid, 'ü%%'", [*row]) for row in values]
    for _ in range(7):  # from the sixth on, PostgreSQL may plan it for all values
        with CaptureQueriesContext(connection) as captured:
            found = run(*asked)
        assert [tuple(one.rows[0]) for one in found] == [(*row, "ü%") for row in values]
    assert "EXECUTE" in captured[-1]["sql"]
    assert len(captured) == 1


def test_a_connection_keeps_no_more_prepared_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Statement("SELECT count(*) FROM pg_prepared_statements WHERE starts_with(name, 'chat_')")
    monkeypatch.setattr(batches, "MOST", run(here)[0].rows[0][0] + 3)
    for number in range(10):
        assert run(Statement(f"SELECT %s + {number}", [1]))[0].rows == [(1 + number,)]
    assert run(here)[0].rows[0][0] == batches.MOST


def test_a_statement_has_one_name_however_many_threads_ask_for_it_at_the_same_time() -> None:
    name = batches._preparing.__wrapped__  # as where another thread is making it just now
    assert name("SELECT %s") == name("SELECT %s")
    assert name("SELECT %s") != name("SELECT %s + 1")


def test_what_is_no_longer_prepared_fails_once_and_is_prepared_anew() -> None:
    asked = Statement("SELECT %s + 1", [1])
    run(asked)
    run(Statement("DEALLOCATE ALL"))
    with pytest.raises(ProgrammingError):
        run(asked)
    close_old_connections()  # as after each visit
    assert run(asked)[0].rows == [(2,)]


def test_what_a_migration_changed_fails_once_and_is_prepared_anew() -> None:
    asked = Statement("SELECT id, at FROM things WHERE id = %s", [1])
    run(add(1))
    assert run(asked)[0].rows == [(1, date(2026, 3, 15))]
    run(Statement("ALTER TABLE things ALTER COLUMN at TYPE text"))
    with pytest.raises(NotSupportedError):
        run(asked)
    close_old_connections()  # as after each visit
    assert run(asked)[0].rows == [(1, "2026-03-15")]


def test_a_connection_that_the_server_ended_is_not_handed_out() -> None:
    pids = set()
    for _ in range(40):
        pids.add(run(Statement("SELECT pg_backend_pid()"))[0].rows[0][0])
        connection.close()  # back to the pool
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
        for pid in pids:
            assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)
    assert run(add(1), ALL)[1].rows == [(1,)]


def test_what_somebody_was_told_is_safe_outlives_a_killed_database(process_environment: dict[str, str]) -> None:
    with PostgreSQL(durable=True) as postgresql:
        environment = {**process_environment, "DATABASE_URL": postgresql.url()}
        writer = [*dying_with_parent(signal.SIGTERM), sys.executable, "-c", WRITING]
        with subprocess.Popen(
            writer, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as writing:
            assert writing.stdout is not None
            told = [int(writing.stdout.readline()) for _ in range(100)]
            postgresql.kill()
            told += [int(line) for line in writing.stdout]
        postgresql.start()
        with psycopg.connect(postgresql.url(), autocommit=True) as other:
            kept = [number for (number,) in other.execute("SELECT id FROM things ORDER BY id").fetchall()]
    assert set(told) <= set(kept)
    assert kept == list(range(len(kept)))


def test_what_was_committed_can_be_waited_for_by_who_was_not_told() -> None:
    run(Statement("SET synchronous_commit TO on"))  # the tests' server waits for nothing otherwise
    try:
        with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}, autocommit=True) as other:
            for number in range(50):
                other.execute("INSERT INTO things (id) VALUES (%s)", [number])
                place = other.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
                make_safe()
                safe = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"
                assert other.execute(safe, place).fetchone() == (True,)
    finally:
        run(Statement("RESET synchronous_commit"))
