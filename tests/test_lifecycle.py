"""Conversations from beginning to end: named, pinned, put away, deleted with undo, purged; temporary ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.statements import Statement, run
from billing.models import Price, UsageRecord
from conversations import lifecycle
from conversations.models import Conversation, Delta, Message
from conversations.pool import in_database
from conversations.sidebar import listing
from conversations.tasks import purge_conversations
from tests import road
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.talks import make_call, make_conversation, reply_of

LATER = lifecycle.UNDO + timedelta(seconds=1)


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def change(person: Person, conversation: str, **fields: Any) -> Any:
    return person.http.patch(f"/api/conversations/{conversation}/", json=fields)


def names(user: User, **options: Any) -> list[tuple[str, list[str]]]:
    days = listing(user=user, now=timezone.now(), **options).days
    return [(day, [conversation.title for conversation in found]) for day, found in days]


def test_a_change_changes_what_is_sent_and_no_more(owner: Person, alice: User) -> None:
    conversation = owner.new_conversation(title="Trip", tier="smart")
    assert Conversation.objects.get().title_source == "person"
    before = owner.get(f"conversations/{conversation}/").json()
    assert change(owner, conversation, pinned=True).json() == {**before, "pinned": True}
    assert change(owner, conversation, title="  Journey ").json()["title"] == "Journey"
    assert change(owner, conversation, temporary=True).json()["temporary"] is False
    assert change(owner, conversation, tier="dear").status_code == 400
    assert change(owner, conversation).status_code == 200
    assert change(owner, conversation, title="").json()["title"] == ""
    assert Conversation.objects.get().title_source == ""


def test_what_is_not_begun_is_in_no_list_of_the_page(owner: Person, alice: User, provider: ScriptedProvider) -> None:
    empty = owner.new_conversation()
    make_conversation(alice, messages=2, title="")
    assert [listed for _, listed in names(alice)] == [[""]]
    assert len(owner.get("conversations/").json()["results"]) == 2
    owner.post(f"conversations/{empty}/messages/", {"content": "Begun"})
    assert [listed for _, listed in names(alice)] == [["Begun", ""]]


def test_an_empty_name_becomes_the_next_questions(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    question = "How do I take the supercalifragilistic train from Cusco to Machu Picchu?"
    owner.post(f"conversations/{conversation}/messages/", {"content": f"\n{question}\nThanks"})
    title = owner.get(f"conversations/{conversation}/").json()["title"]
    assert title == "How do I take the supercalifragilistic train from Cusco to…"
    assert Conversation.objects.get().title_source == ""


def test_the_pinned_come_first_and_the_archived_apart(alice: User) -> None:
    old = timezone.now() - timedelta(days=400)
    make_conversation(alice, title="Pinned", pinned=True, at=old)
    make_conversation(alice, title="Now")
    make_conversation(alice, title="Away", archived=True, pinned=True)
    make_conversation(alice, title="Secret", temporary=True)
    make_conversation(alice, title="Gone", deleted_at=timezone.now())
    assert names(alice) == [("Pinned", ["Pinned"]), ("Today", ["Now"])]
    assert [found for _, found in names(alice, archived=True)] == [["Away"]]


def test_the_list_leaves_out_what_is_temporary_or_deleted(owner: Person) -> None:
    kept, pinned = owner.new_conversation(title="Kept"), owner.new_conversation(title="Pin", pinned=True)
    secret = owner.new_conversation(title="Secret", temporary=True)
    gone = owner.new_conversation(title="Gone")
    assert owner.http.delete(f"/api/conversations/{gone}/").status_code == 204
    for query, found in (({}, [pinned, kept]), ({"pinned": "true"}, [pinned]), ({"q": "secret"}, [])):
        rows = owner.get("conversations/", params=query).json()["results"]
        assert [row["id"] for row in rows] == found
    assert owner.get(f"conversations/{secret}/").json()["temporary"] is True


def test_a_deletion_can_be_undone_until_it_is_purged(
    owner: Person, enter: Callable[..., Person], alice: User, bob: User, provider: ScriptedProvider
) -> None:
    conversation = owner.new_conversation(title="Trip")
    reply = owner.post(f"conversations/{conversation}/messages/", {"content": "To Lima"}).json()["message"]
    paths = [f"conversations/{conversation}/", f"conversations/{conversation}/messages/"]
    before = [owner.get(path).json() for path in paths]
    assert enter(bob).http.delete(f"/api/conversations/{conversation}/").status_code == 404
    assert owner.http.delete(f"/api/conversations/{conversation}/").status_code == 204
    assert owner.http.delete(f"/api/conversations/{conversation}/").status_code == 404
    assert owner.http.get(f"/c/{conversation}/").status_code in (302, 404)
    for path in (*paths, f"messages/{reply['id']}/siblings/", f"conversations/{conversation}/usage/"):
        assert owner.get(path).status_code == 404
    for path in (f"{paths[1]}", f"messages/{reply['id']}/regenerate/", f"messages/{reply['id']}/select/"):
        assert owner.post(path, {"content": "x"}).status_code == 404
    assert owner.post("quote/", {"content": "x", "conversation": conversation}).status_code == 404
    assert lifecycle.purge(now=timezone.now()) == 0
    assert enter(bob).post(f"conversations/{conversation}/restore/").status_code == 404

    assert owner.post(f"conversations/{conversation}/restore/").json() == before[0]
    assert [owner.get(path).json() for path in paths] == before
    assert owner.post(f"conversations/{conversation}/restore/").status_code == 200

    owner.http.delete(f"/api/conversations/{conversation}/")
    assert lifecycle.purge(now=timezone.now() + LATER) == 1
    assert owner.post(f"conversations/{conversation}/restore/").status_code == 404
    assert not Message.objects.exists()
    assert not Conversation.objects.exists()
    record = UsageRecord.objects.get()
    assert (record.state, record.user) == ("settled", alice)
    assert road.differences() == []
    for table in ("conversations_text", "conversations_words_docsize") if connection.vendor == "sqlite" else ():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (0,)


def test_deleting_stops_what_is_being_written(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    provider.enqueue(Script(text="One two three", hold_after=1))
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Hello"}) as stream:
        stream.until(lambda seen: seen.text)
        assert owner.http.delete(f"/api/conversations/{conversation}/").status_code == 204
    message = Message.objects.get(role="assistant")
    assert (message.status, message.content) == ("stopped", "One")
    assert provider.wait_idle().rows[0].outcome == "client_closed"
    assert road.differences() == []


def test_a_purge_spares_what_still_runs_and_what_came_back(alice: User, prices: dict[str, Price]) -> None:
    now = timezone.now()
    kept = make_conversation(alice, messages=2)
    running = make_conversation(alice, deleted_at=now)
    reply_of(
        running, make_call(alice, prices["gpt-4o"], at=now, settled=False), status="generating",
        lease_owner=running.pk, lease_expires_at=now,
    )  # fmt: skip
    gone = [make_conversation(alice, messages=2, deleted_at=now) for _ in range(lifecycle.BATCH + 3)]
    Conversation.objects.filter(pk=gone[0].pk).update(deleted_at=now + timedelta(minutes=5))
    assert purge_conversations() == 0
    assert lifecycle.purge(now=now + LATER) == lifecycle.BATCH + 2
    assert set(Conversation.objects.all()) == {kept, running, gone[0]}


# Temporary chats


def test_a_temporary_chat_keeps_its_bill_and_nothing_else(
    owner: Person, alice: User, provider: ScriptedProvider
) -> None:
    conversation = owner.new_conversation(temporary=True)
    path = f"conversations/{conversation}/messages/"
    provider.set_default(Script(text="Whisper back"))
    for number in range(2):
        assert owner.post(path, {"content": f"Whisper {number}"}).status_code == 201
    assert len(provider.requests[-1].body["messages"]) == 3  # while it lasts, it is a conversation
    assert owner.get("search/", params={"q": "whisper"}).json()["results"] == []
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM conversations_text")
            assert cursor.fetchone() == (0,)
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM conversations_message WHERE words IS NOT NULL")
            assert cursor.fetchone() == (0,)
    assert owner.http.delete(f"/api/conversations/{conversation}/").status_code == 204
    assert owner.post(f"conversations/{conversation}/restore/").status_code == 404
    for table in (Conversation, Message, Delta):
        assert not table.objects.exists()
    assert UsageRecord.objects.filter(user=alice, state="settled").count() == 2
    assert road.differences() == []


def test_a_temporary_chat_that_was_left_is_purged(alice: User) -> None:
    now = timezone.now()
    used = make_conversation(alice, messages=2, temporary=True, at=now)
    make_conversation(alice, messages=2, temporary=True, at=now - lifecycle.IDLE - timedelta(seconds=1))
    old = make_conversation(alice, messages=2, at=now - timedelta(days=300))
    assert lifecycle.purge(now=now) == 1
    assert set(Conversation.objects.all()) == {used, old}


@pytest.mark.django_db(transaction=True)
def test_a_send_into_what_is_deleted_at_that_instant_finds_nothing(
    alice: User, prices: object, settings: Any, provider: ScriptedProvider
) -> None:
    settings.OPENAI_BASE_URL = provider.base_url
    conversation = make_conversation(alice)

    async def both() -> list[Any]:
        deleting = lifecycle.delete(user=alice, conversation_id=conversation.pk, now=timezone.now())
        return await asyncio.gather(deleting, road.sent(road.ask(conversation)), return_exceptions=True)

    road.run(both())
    lifecycle.purge(now=timezone.now() + LATER)
    assert road.differences() == []


@pytest.mark.once("scaled")  # SQLite lets writers in by chance
@pytest.mark.django_db(transaction=True)
def test_a_reply_that_begins_while_its_conversation_is_deleted_is_stopped(
    alice: User, prices: object, settings: Any, provider: ScriptedProvider
) -> None:
    settings.OPENAI_BASE_URL = provider.base_url
    provider.enqueue(Script(text="One two three", hold_after=1))
    conversation = make_conversation(alice)
    go = threading.Event()

    def keep_locked() -> None:
        with transaction.atomic():
            Conversation.objects.select_for_update().get(pk=conversation.pk)
            go.wait(30)

    def waiting(count: int) -> Callable[[], Awaitable[object]]:
        locks = "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()"
        return partial(in_database, lambda: len(run(Statement(f"{locks} WHERE locktype = 'tuple'"))[0].rows) >= count)

    async def scenario() -> None:
        locked = asyncio.create_task(in_database(keep_locked))
        await asyncio.sleep(0.2)
        sending = asyncio.create_task(road.sent(road.ask(conversation)))
        await road.until(waiting(1))  # the first in the row for the lock, and the second behind it
        deleting = asyncio.create_task(
            lifecycle.delete(user=alice, conversation_id=conversation.pk, now=timezone.now())
        )
        await road.until(waiting(2))
        go.set()
        await asyncio.gather(locked, sending, deleting)

    road.run(scenario())
    message = Message.objects.get(role="assistant")
    assert message.status == "stopped"
    assert [row.outcome for row in provider.wait_idle().rows] in ([], ["client_closed"])
    assert road.differences() == []


# Cost


def test_what_a_conversation_costs(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    path = f"conversations/{conversation}/usage/"
    nothing = {
        "cost_usd": "0.00", "held_usd": "0.00", "calls": 0, "input_tokens": 0, "output_tokens": 0, "estimated": False,
    }  # fmt: skip
    assert owner.get(path).json() == nothing
    answers = [owner.post(f"conversations/{conversation}/messages/", {"content": "x"}).json()]
    answers.append(owner.post(f"messages/{answers[0]['message']['id']}/regenerate/").json())
    used = owner.get(path).json()
    bill = provider.wait_idle()
    assert used["cost_usd"] == f"{bill.total:f}"
    assert (used["calls"], used["estimated"], used["held_usd"]) == (2, False, "0.00")
    assert used["input_tokens"] == sum(answer["usage"]["input_tokens"] for answer in answers)


def test_a_list_of_5000_takes_as_many_queries(alice: User, django_assert_num_queries: Any) -> None:
    at = timezone.now()
    Conversation.objects.bulk_create(
        [
            Conversation(user=alice, title=f"Number {number}", created_at=at, updated_at=at - timedelta(minutes=number))
            for number in range(5000)
        ],
        batch_size=500,
    )
    with django_assert_num_queries(2):
        found = listing(user=alice, now=at)
    assert sum(len(day) for _, day in found.days) == 50
    with django_assert_num_queries(1):
        listing(user=alice, now=at, before=found.before)
