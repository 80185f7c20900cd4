"""An import is stored once and whole: twice the same file, two workers, a crash in the middle."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.errors import BodyTooLarge, InvalidRequest
from accounts.models import User
from conversations import branch
from conversations.models import Conversation, ImportPart, ImportRun, Message
from conversations.transfer import chatgpt as chatgpt_reader
from conversations.transfer import runs, tree, work, writing
from conversations.transfer.runs import ImportInProgress, Lost
from conversations.transfer.tasks import continue_imports, import_file
from tests.people import Person
from tests.test_import_readers import chatgpt, node, webui

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOW


def talk(number: int) -> dict[str, Any]:
    return chatgpt(
        node("u", None, "user", f"Q{number}", create_time=1_700_000_001),
        node("a1", "u", "assistant", "**A**", create_time=1_700_000_002),
        node("a2", "u", "assistant", "B", create_time=1_700_000_003),
        node("u2", "a1", "user", "More", create_time=1_700_000_004),
        conversation_id=f"c-{number}", title=f"Talk {number}",
    )  # fmt: skip


def receive(user: User, *items: Any, raw: bytes | None = None) -> ImportRun:
    content = json.dumps(list(items)).encode() if raw is None else raw
    return runs.receive(user=user, name="export.json", chunks=[content], size=len(content), now=NOW)


def done(user: User, *items: Any, raw: bytes | None = None) -> ImportRun:
    run = receive(user, *items, raw=raw)
    assert not work.work(run_id=run.pk, clock=clock, share=1000)
    run.refresh_from_db()
    return run


def counts(run: ImportRun) -> tuple[str, int | None, int, int, int, int]:
    return run.state, run.total, run.done, run.added, run.existing, run.skipped


def test_a_tree_is_stored_with_its_current_branch(alice: User) -> None:
    run = done(alice, talk(1))
    assert counts(run) == ("done", 1, 1, 1, 0, 0)
    assert not ImportPart.objects.exists()
    conversation = Conversation.objects.of(alice).get()
    assert (conversation.title, conversation.source, conversation.source_id) == ("Talk 1", "chatgpt", "c-1")
    assert conversation.updated_at == datetime.fromtimestamp(1_700_000_100.25, UTC)
    rows = conversation.messages.order_by("pk").values_list("role", "content", "depth", "current", "parent__content")
    assert list(rows) == [
        ("user", "Q1", 0, True, None), ("assistant", "**A**", 1, True, "Q1"), ("assistant", "B", 1, False, "Q1"),
        ("user", "More", 2, True, "**A**"),
    ]  # fmt: skip
    answer = conversation.messages.get(content="**A**")
    assert answer.html == "<p><strong>A</strong></p>\n"
    assert (answer.model, answer.usage_record, answer.tokenizer, answer.status) == ("gpt-4o", None, "", "complete")
    tip = branch.tip(conversation)
    assert tip is not None
    assert tip.content == "More"


def test_a_failed_answer_of_which_nobody_says_why_can_be_followed(enter: Callable[..., Person], alice: User) -> None:
    item = {
        "id": "c", "current": "a", "system_prompt": "", "title": "T",
        "messages": [
            {"id": "q", "parent": None, "role": "user", "content": "Q"},
            {"id": "a", "parent": "q", "role": "assistant", "content": "Half", "status": "failed"},
            {"id": "b", "parent": "q", "role": "assistant", "content": "", "status": "failed", "error": {"code": 5}},
        ],
    }  # fmt: skip
    assert counts(done(alice, item)) == ("done", 1, 1, 1, 0, 0)
    person = enter(alice)
    kept = list(Message.objects.filter(role="assistant").order_by("pk"))
    assert [message.error["code"] for message in kept if message.error] == ["provider_error"] * 2
    Message.objects.filter(pk=kept[1].pk).update(error=None)  # as earlier imports left them
    for message in kept:
        last = person.follow(str(message.pk)).last
        assert (last["type"], last["error"]["code"], bool(last["error"]["request_id"])) == (
            "error", "provider_error", True
        )  # fmt: skip
        assert "not kept" in last["error"]["message"]


def test_the_same_file_again_adds_nothing(alice: User, bob: User) -> None:
    items = [talk(1), talk(2), talk(2), webui({"id": "a1", "parentId": None, "role": "user", "content": "Q"})]
    assert counts(done(alice, *items)) == ("done", 4, 4, 3, 1, 0)
    before = list(Message.objects.order_by("pk").values())
    assert counts(done(alice, *items)) == ("done", 4, 4, 0, 4, 0)
    assert list(Message.objects.order_by("pk").values()) == before
    assert counts(done(bob, *items)) == ("done", 4, 4, 3, 1, 0)
    assert Conversation.objects.of(alice).count() == Conversation.objects.of(bob).count() == 3


def test_the_database_itself_keeps_an_import_from_coming_twice(alice: User) -> None:
    done(alice, talk(1))
    conversation = Conversation.objects.get()
    conversation.pk = uuid.uuid4()
    with pytest.raises(IntegrityError), transaction.atomic():
        conversation.save(force_insert=True)


@pytest.mark.parametrize("cut", [1, 200, 4000])
def test_a_broken_file_changes_nothing(alice: User, cut: int) -> None:
    content = json.dumps([talk(number) for number in range(30)]).encode()
    run = done(alice, raw=content[:-cut])
    assert counts(run) == ("failed", None, 0, 0, 0, 0)
    assert "breaks off" in run.error
    assert not Conversation.objects.exists()
    assert not ImportPart.objects.exists()


def test_a_broken_conversation_in_a_good_file_is_skipped_and_counted(alice: User) -> None:
    run = done(alice, talk(1), {"title": "Odd", "mapping": {}}, {"title": "Foreign"}, talk(2))
    assert counts(run) == ("done", 4, 4, 2, 0, 2)
    assert [reason["title"] for reason in run.reasons] == ["Odd", "Foreign"]


def test_why_one_was_skipped_is_told_in_its_owner_s_language(alice: User) -> None:
    alice.language = "de"
    alice.save()
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    broken = {"id": "o", "title": "Ours", "current": None, "system_prompt": "", "messages": [{}]}
    long = chatgpt(node("u", None, "user", "x" * 1_000_001), conversation_id="long")
    run = done(alice, talk(1), {"title": "Odd", "mapping": {}}, {"title": "Foreign"}, deep, broken, long)
    assert counts(run) == ("done", 6, 6, 1, 0, 5)
    assert [reason["reason"] for reason in run.reasons] == [
        "Sie enthält keine Nachricht eines Menschen oder eines Assistenten.",
        "Das ist keine Unterhaltung von ChatGPT, von Open WebUI oder von diesem Chat.",
        "Sie ist zu groß oder zu tief verschachtelt.",
        "Eine ihrer Nachrichten hat keine Kennung oder keine Rolle.",
        "Eine ihrer Nachrichten ist länger als 1,000,000 Zeichen.",
    ]


def test_a_file_is_checked_before_it_is_stored(alice: User) -> None:
    with pytest.raises(InvalidRequest):
        receive(alice, raw=b"")
    with pytest.raises(BodyTooLarge) as caught:
        runs.receive(user=alice, name="x", chunks=[], size=104_857_601, now=NOW)
    assert caught.value.details == {"limit": 104_857_600}
    assert not ImportRun.objects.exists()


def test_one_import_at_once_for_each_user(alice: User, bob: User) -> None:
    first = receive(alice, talk(1))
    with pytest.raises(ImportInProgress):
        receive(alice, talk(2))
    receive(bob, talk(1))
    work.work(run_id=first.pk, clock=clock)
    receive(alice, talk(2))


def test_a_file_of_many_parts_is_put_together_again(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PART", 100)
    content = json.dumps([talk(1)]).encode()
    pieces = [content[:250], content[250:251], content[251:]]
    run = runs.receive(user=alice, name="x", chunks=pieces, size=len(content), now=NOW)
    assert run.parts.count() == -(-len(content) // 100)
    work.work(run_id=run.pk, clock=clock)
    assert Conversation.objects.get().title == "Talk 1"


def test_a_turn_ends_when_its_time_is_up_and_the_next_goes_on(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_ROWS", 1)
    read: list[str] = []
    read_one = chatgpt_reader.read
    monkeypatch.setattr(
        chatgpt_reader, "read", lambda item, **at: (read.append(item["title"]), read_one(item, **at))[1]
    )
    run, left = receive(alice, *map(talk, range(4))), None
    for number in (1, 2, 3):
        left = work.work(run_id=run.pk, clock=clock, share=0, left=left)
        assert left
        run.refresh_from_db()
        assert counts(run) == ("running", 4, number, number, 0, 0)
    assert not work.work(run_id=run.pk, clock=clock, share=0, left=left)
    run.refresh_from_db()
    assert counts(run) == ("done", 4, 4, 4, 0, 0)
    assert sorted(read) == sorted([f"Talk {number}" for number in range(4)] * 2), "checked once and stored once"


def test_what_is_left_for_the_next_turn_is_left_alone_by_beat(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_ROWS", 1)
    run, later = receive(alice, *map(talk, range(3))), NOW + timedelta(minutes=10)
    left = work.work(run_id=run.pk, clock=lambda: later, share=0)
    assert left
    assert runs.left_lying(now=later + timedelta(seconds=30)) == []
    assert runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=later) is None
    over = later + timedelta(seconds=61)  # the next turn did not come
    assert runs.left_lying(now=over) == [run.pk]
    assert not work.work(run_id=run.pk, clock=lambda: over)
    run.refresh_from_db()
    assert counts(run) == ("done", 3, 3, 3, 0, 0)
    assert work.work(run_id=run.pk, clock=lambda: over, left=left) is None  # and came late


def test_a_worker_keeps_its_lease_while_it_reads_on_and_renders(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_ROWS", 1)
    run = receive(alice, *map(talk, range(2)))
    left = work.work(run_id=run.pk, clock=clock, share=0)
    held: list[None] = []
    hold_on = runs.hold_on
    monkeypatch.setattr(work, "RENEW", -1)
    monkeypatch.setattr(runs, "hold_on", lambda *a, **k: (held.append(None), hold_on(*a, **k))[1])
    assert not work.work(run_id=run.pk, clock=clock, share=0, left=left)
    assert len(held) >= 1 + 4 + 2, "with the one read past, with each message, to store and to end"


def empty(number: int) -> dict[str, Any]:
    return {"id": f"e-{number}", "title": "", "system_prompt": "", "current": None, "messages": []}


@pytest.mark.parametrize("item", [empty, talk], ids=["empty ones", "long ones"])
def test_one_transaction_stores_no_more_than_it_should(
    alice: User, monkeypatch: pytest.MonkeyPatch, item: Callable[[int], Any]
) -> None:
    monkeypatch.setattr(work, "MOST_ROWS", 10 if item is empty else 1000)
    monkeypatch.setattr(work, "MOST_CHARACTERS", 1, raising=False)
    run = receive(alice, *map(item, range(30)))
    assert work.work(run_id=run.pk, clock=clock, share=0)
    run.refresh_from_db()
    assert run.done == (10 if item is empty else 1)


def test_one_statement_holds_no_more_text_than_it_should(alice: User) -> None:
    nodes = [node(f"a{n}", f"a{n - 1}", "assistant", "'" * 900_000) for n in range(8)]
    sizes: list[int] = []

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "conversations_message" in sql:
            columns = [
                value if isinstance(value, list) else [value] for value in params or ()
            ]  # PostgreSQL's are lists
            sizes.append(sum(len(value) for column in columns for value in column if isinstance(value, str)))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        assert counts(done(alice, chatgpt(*nodes, conversation_id="long"))) == ("done", 1, 1, 1, 0, 0)
    assert sum(sizes) > 8 * 1_800_000
    assert max(sizes) < 8_000_000


def test_what_would_be_too_much_html_at_once_is_shown_as_text(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_HTML", 30, raising=False)
    assert done(alice, talk(1)).added == 1
    html = dict(Message.objects.filter(role="assistant").values_list("content", "html"))
    assert html["**A**"] == "<p><strong>A</strong></p>\n"
    assert "<code>B</code>" in html["B"]


def test_a_conversation_without_end_is_skipped(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST_CHARACTERS", 10, raising=False)
    nodes = [node(f"a{n}", f"a{n - 1}", "assistant", "four") for n in range(3)]
    run = done(alice, chatgpt(*nodes, conversation_id="long"))
    assert counts(run) == ("done", 1, 1, 0, 0, 1)
    assert "more than 10 characters" in run.reasons[0]["reason"]


def test_a_crash_leaves_what_is_counted_and_the_next_worker_goes_on(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MOST_ROWS", 1)
    run = receive(alice, *map(talk, range(4)))
    store = writing.store

    def crash(prepared: list[writing.Rows], *, user: User) -> int:
        added = store(prepared, user=user)
        if prepared[0].conversation.title == "Talk 2":
            raise KeyboardInterrupt
        return added

    monkeypatch.setattr(writing, "store", crash)
    with pytest.raises(KeyboardInterrupt):
        work.work(run_id=run.pk, clock=clock)
    monkeypatch.setattr(writing, "store", store)
    run.refresh_from_db()
    assert counts(run) == ("running", 4, 2, 2, 0, 0)
    assert Conversation.objects.count() == 2
    assert not work.work(run_id=run.pk, clock=clock)  # its lease holds
    assert runs.left_lying(now=NOW) == []
    later = NOW + timedelta(seconds=61)
    assert runs.left_lying(now=later) == [run.pk]
    work.work(run_id=run.pk, clock=lambda: later)
    run.refresh_from_db()
    assert counts(run) == ("done", 4, 4, 4, 0, 0)
    assert Conversation.objects.count() == 4


def test_a_worker_that_has_lost_its_run_writes_nothing_more(alice: User) -> None:
    run = receive(alice, talk(1))
    slow = runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=NOW)
    later = NOW + timedelta(seconds=61)
    assert slow is not None
    assert runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=NOW) is None
    assert runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=later) is not None
    with pytest.raises(Lost):
        runs.hold_on(slow, now=later)
    with pytest.raises(Lost):
        runs.end(slow, now=later, error="x")
    with pytest.raises(Lost):
        work._commit(slow, [], [], now=later)
    assert not Conversation.objects.exists()


def test_a_file_that_stops_every_worker_is_given_up(alice: User) -> None:
    run = receive(alice, talk(1))
    at = NOW
    for _ in range(runs.MOST_ATTEMPTS):
        assert runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=at) is not None
        at += timedelta(seconds=61)
    assert not work.work(run_id=run.pk, clock=lambda: at)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "Nothing more is tried" in run.error


def test_two_workers_at_once_store_each_conversation_once(transactional_db: None, alice: User) -> None:
    run = receive(alice, *map(talk, range(40)))
    ready = threading.Barrier(4)

    def one(_: int) -> None:
        ready.wait()
        try:
            work.work(run_id=run.pk, clock=timezone.now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    run.refresh_from_db()
    assert counts(run) == ("done", 40, 40, 40, 0, 0)
    assert Conversation.objects.of(alice).count() == 40


def test_the_tasks_carry_a_run_to_its_end(alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(import_file, "delay", lambda *told: sent.append(told))
    monkeypatch.setattr(work, "MOST_ROWS", 1)
    run = receive(alice, talk(1), talk(2))
    continue_imports()
    assert sent == [(str(run.pk),)]  # it was received long ago
    import_file(*sent.pop())
    run.refresh_from_db()
    assert run.state == "done"
    continue_imports()
    assert sent == []


def test_an_imported_conversation_opens_like_any_other(
    client: Client, transactional_db: None, alice: User, prices: Any
) -> None:
    lone = chatgpt(node("a", None, "assistant", "First"), node("b", "a", "assistant", "Second"), conversation_id="lone")
    done(alice, talk(1), lone)
    client.force_login(alice)
    for conversation in Conversation.objects.of(alice):
        html = client.get(f"/c/{conversation.pk}/").content.decode()
        for message in conversation.messages.current():
            assert str(message.pk) in html
        answer = client.get(f"/api/conversations/{conversation.pk}/messages/").json()
        assert all(message["usage"] is None for message in answer["results"])


@pytest.mark.parametrize("written", ["2024-01-02T03:04:05+00:00:00.5", "2024-01-02T03:04:05-23:59:59"])
def test_a_time_with_an_odd_offset_is_stored(alice: User, written: str) -> None:
    item = chatgpt(node("u", None, "user", "Q", create_time=written), create_time=written, update_time=written)
    assert counts(done(alice, item)) == ("done", 1, 1, 1, 0, 0)
    assert Conversation.objects.get().created_at.year == 2024
