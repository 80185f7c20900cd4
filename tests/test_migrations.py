"""What migrations do to what is stored already, and to those who write meanwhile."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from accounts.models import User
from billing.models import Proposal, Reconciliation
from conversations.models import Message
from tests.calls import NOON, make_price, spend
from tests.locks import until_somebody_waits
from tests.talks import make_conversation

pytestmark = pytest.mark.django_db
INDEX = "message_versions"

KEPT = {
    "Take back usage record {0}{1}: the provider does not have it.": " of {}",
    "The provider counts more: usage record {0}{1}, $0.002, becomes -$0.0022.": " of {}",
    "Nutzungsdatensatz {0}{1} zurücknehmen: Der Anbieter hat ihn nicht.": " von {}",
    "Der Anbieter zählt mehr: Nutzungsdatensatz {0}{1}, $0.002, wird zu $0.0022.": " von {}",
}
NAMES = ["Alice von Example", "a, $1, becomes $2.", "Usage record 7 of B: the provider does not have it.", "x" * 254]


@pytest.mark.parametrize("name", NAMES)
def test_stored_proposals_lose_their_names_and_nothing_else(alice: User, staff: User, name: str) -> None:
    record = spend(user=alice, price=make_price())
    named = [form.format(record.pk, of.format(name)) for form, of in KEPT.items()]
    nameless = [form.format(record.pk, "") for form in KEPT]
    others = ["Book an adjustment of $1.", "Usage record 12 of the provider"]
    run = Reconciliation.objects.create(
        started_at=NOON, by=staff, by_name="s", first=date(2026, 3, 1), last=date(2026, 3, 1), files=[],
        report={"sentence": "s", "notes": [], "differences": [{"kind": "x", "proposals": [*named, *others]}, {}]},
    )  # fmt: skip
    for sentence in named:
        Proposal.objects.create(
            reconciliation=run, difference=0, day=date(2026, 3, 1), act="reverse", sentence=sentence, record=record,
            amount=-1,
        )  # fmt: skip
    migration: Any = importlib.import_module("billing.migrations.0017_proposals_name_nobody")
    for _ in range(2):
        migration.forget(apps, SimpleNamespace(connection=connection))
        assert list(Proposal.objects.order_by("pk").values_list("sentence", flat=True)) == nameless
        run.refresh_from_db()
        assert run.report["differences"] == [{"kind": "x", "proposals": [*nameless, *others]}, {}]


def migrate(*names: str) -> None:
    """Talk to these migrations, or without one to the newest; in any thread."""
    try:
        executor = MigrationExecutor(connection)
        targets = [("conversations", name) for name in names] or executor.loader.graph.leaf_nodes("conversations")
        executor.migrate(targets)
    finally:
        connection.close()


def is_indexed() -> bool:
    with connection.cursor() as cursor:
        return INDEX in connection.introspection.get_constraints(cursor, Message._meta.db_table)


def is_valid() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX])
        (valid,) = cursor.fetchone()
    return bool(valid)


def write(user: User) -> None:
    """A conversation of one message, by a writer that waits for nobody long; in a thread of its own."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '1s'")
            make_conversation(user, messages=1)
    finally:
        connection.close()


@pytest.fixture
def unindexed(transactional_db: None) -> Iterator[None]:
    """The tables as they were before the index of versions."""
    migrate("0004_words")
    assert not is_indexed()
    yield
    migrate()


@pytest.mark.django_db(transaction=True)
def test_the_index_of_versions_is_made_and_taken_away_and_made_again_where_nobody_noted_it(unindexed: None) -> None:
    migrate()
    assert is_indexed()
    MigrationRecorder(connection).record_unapplied("conversations", "0005_versions")
    migrate()
    assert is_indexed()


@pytest.mark.only("scaled")
@pytest.mark.django_db(transaction=True)
def test_messages_are_written_while_their_index_is_built(unindexed: None, alice: User) -> None:
    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            make_conversation(alice, messages=1)  # for whose end the build waits
            building = pool.submit(migrate)
            until_somebody_waits()
            pool.submit(write, alice).result()
            assert not building.done()
        building.result()
    assert is_valid()
    assert Message.objects.count() == 2


@pytest.mark.only("scaled")
@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_cut_off_while_it_was_built_is_built_anew(unindexed: None, alice: User) -> None:
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        make_conversation(alice, messages=1)
        building = pool.submit(migrate)
        until_somebody_waits()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted")
        with pytest.raises(OperationalError, match="canceling statement"):
            building.result()
    assert is_indexed()
    assert not is_valid()
    migrate()
    assert is_valid()
