"""What goes out: Markdown to read, JSON that comes in again without a loss, all of one's data in one ZIP."""

from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from billing.models import Price
from conversations.models import Conversation, Message
from conversations.transfer import archive, pages
from conversations.transfer import json as as_json
from tests.talks import make_call, make_conversation, reply_of
from tests.test_import_runs import NOW, done, talk

# The API works in threads of its own, which see what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def body(response: Any) -> bytes:
    async def gathered() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    assert response.status_code == 200
    return async_to_sync(gathered)()


def exported(conversation: Conversation) -> Any:
    return json.loads(b"".join(as_json.document(conversation)))


def comparable(document: Any) -> Any:
    """Without what belongs to the place: ids become their number, usage stays where the call was made."""
    for conversation in document["conversations"]:
        numbers = {message["id"]: number for number, message in enumerate(conversation["messages"])}
        for name in ("id", "source", "source_id"):
            del conversation[name]
        conversation["current"] = numbers.get(conversation["current"])
        for message in conversation["messages"]:
            del message["usage"]
            message["id"], message["parent"] = numbers[message["id"]], numbers.get(message["parent"])
    return document


def every_kind(user: User, price: Price) -> Conversation:
    """A conversation with branches, with each way an answer ends, and with text that is hard to carry."""
    at = NOW - timedelta(days=1)  # an import takes nothing from beyond its own instant
    conversation = make_conversation(
        user, title='T "quoted" – ünï', system_prompt="Be\nbrief.", tier="smart", archived=True, pinned=True, at=at
    )
    question = reply_of(conversation, make_call(user, price, at=at), content="# A\n\n`x`\n", ended_at=at).parent
    assert question is not None
    for number, (status, finish) in enumerate(
        [("stopped", ""), ("interrupted", ""), ("failed", ""), ("complete", "length")], start=1
    ):
        Message.objects.create(
            conversation=conversation, parent=question, depth=1, current=False, role="assistant", status=status,
            content=f"{number} \u2028 😀 </script>", finish_reason=finish, model="gpt-4o", tier="fast",
            error={"code": "provider_error", "message": "No.", "status": 502} if status == "failed" else None,
            context={"prompt_tokens": 1, "limit": 2, "included_messages": 3, "dropped_messages": 4},
            created_at=at + timedelta(seconds=number), ended_at=at + timedelta(seconds=number + 1),
        )  # fmt: skip
    return conversation


def test_json_goes_out_and_comes_in_without_a_loss(alice: User, bob: User, prices: dict[str, Price]) -> None:
    conversation = every_kind(alice, prices["gpt-4o"])
    document = exported(conversation)
    assert document["conversations"][0]["messages"][1]["usage"]["cost_usd"]
    run = done(bob, raw=json.dumps(document).encode())
    assert run.added == 1
    copy = Conversation.objects.of(bob).get()
    assert comparable(exported(copy)) == comparable(document)
    assert not Message.objects.filter(conversation=copy).exclude(usage_record=None).exists()


ODD_TEXTS = [
    "a", "", " ", "\n", "\r\n", "\t", "\u2028", "\u00a0", "\ufeff", "\x01", "\x7f", "\u202e", "\ufffd",
    "😀", "é", "e\u0301", '"', "\\",
    "\\u0000", "</script>", "$x$", "```\n", "|a|\n|-|\n", "&amp;", "9" * 30, "[", "{", ",", "ab " * 300,
]  # fmt: skip


def odd_conversation(user: User, chance: random.Random) -> Conversation:
    """One of any shape, with text that is hard to carry."""

    def text(most: int) -> str:
        return "".join(chance.choices(ODD_TEXTS, k=chance.randint(0, most)))

    def at() -> datetime:
        return NOW - timedelta(microseconds=chance.randint(0, 10**15))

    created, changed = sorted((at(), at()))
    conversation = Conversation.objects.create(
        user=user, title=f"T {text(9)}"[:200], system_prompt=text(20), tier=chance.choice(["fast", "smart"]),
        archived=chance.random() < 0.5, pinned=chance.random() < 0.5, created_at=created, updated_at=changed,
    )  # fmt: skip
    made: list[Message] = []
    for _ in range(chance.randint(0, 12)):
        parent = chance.choice([None, *made[-4:]])
        message = Message(
            conversation=conversation, parent=parent, depth=parent.depth + 1 if parent else 0, current=False,
            role="user", content=text(9), created_at=at(),
        )  # fmt: skip
        if chance.random() < 0.5:
            message.role, message.ended_at = "assistant", at()
            message.status = chance.choice(["complete", "stopped", "interrupted", "failed"])
            message.model, message.tier = text(2)[:100], chance.choice(["", "fast", "smart"])
            message.finish_reason = chance.choice(["", "stop", "length"])
            message.error = (
                {"code": "provider_error", "message": f"No. {text(3)}"} if message.status == "failed" else None
            )
        message.save()
        made.append(message)
    tip: Message | None = chance.choice(made) if made else None
    while tip is not None:
        Message.objects.filter(pk=tip.pk).update(current=True)
        tip = tip.parent
    return conversation


def test_whatever_goes_out_comes_in_and_goes_out_the_same(alice: User, bob: User) -> None:
    chance = random.Random(7)
    written = {str(made.pk): exported(made) for made in (odd_conversation(alice, chance) for _ in range(60))}
    packed = b"".join(archive.archive(alice, now=NOW))
    assert done(bob, raw=packed).added == len(written)
    for copy in Conversation.objects.of(bob):
        assert comparable(exported(copy)) == comparable(written.pop(copy.source_id))
    assert not written
    assert done(bob, raw=packed).existing == 60


def test_what_one_still_has_is_not_added_again(alice: User, prices: dict[str, Price]) -> None:
    conversation = every_kind(alice, prices["gpt-4o"])
    document = json.dumps(exported(conversation)).encode()
    assert done(alice, raw=document).existing == 1
    conversation.delete()
    assert done(alice, raw=document).added == 1
    assert done(alice, raw=document).existing == 1


def test_an_import_that_goes_out_keeps_its_origin(alice: User, bob: User) -> None:
    done(alice, talk(1))
    document = exported(Conversation.objects.of(alice).get())
    done(bob, raw=json.dumps(document).encode())
    assert done(bob, talk(1)).existing == 1


def test_an_empty_conversation_can_be_carried_too(alice: User, bob: User) -> None:
    conversation = make_conversation(alice, title="Empty", at=NOW)
    document = exported(conversation)
    done(bob, raw=json.dumps(document).encode())
    assert comparable(exported(Conversation.objects.of(bob).get())) == comparable(document)


def test_the_addresses_give_files(signed_in: Client, alice: User, prices: dict[str, Price]) -> None:
    conversation = every_kind(alice, prices["gpt-4o"])
    response = signed_in.get(f"/api/conversations/{conversation.pk}/export/?format=md")
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert response.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''")
    text = body(response).decode()
    assert text.startswith('# T "quoted" – ünï\n')
    assert "> Be\n> brief." in text
    assert "## You, " in text
    assert "\n\nWhy?\n" in text
    assert "## Assistant (gpt-4o), " in text
    assert "# A\n\n`x`\n" in text
    assert "😀" not in text  # that branch is not current
    response = signed_in.get(f"/api/conversations/{conversation.pk}/export/?format=json")
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(body(response)) == exported(conversation)
    assert json.loads(body(signed_in.get(f"/api/conversations/{conversation.pk}/export/"))) == exported(conversation)


def test_an_export_is_one_s_own(signed_in: Client, client: Client, alice: User, bob: User) -> None:
    theirs = make_conversation(bob, messages=2)
    mine = make_conversation(alice, messages=2)
    assert signed_in.get(f"/api/conversations/{theirs.pk}/export/?format=md").status_code == 404
    temporary = make_conversation(alice, messages=2, temporary=True)
    assert signed_in.get(f"/api/conversations/{temporary.pk}/export/?format=md").status_code == 404
    response = signed_in.get(f"/api/conversations/{mine.pk}/export/?format=pdf")
    assert response.status_code == 400
    assert response.json()["error"]["fields"] == {"format": ["Either md or json."]}
    client.logout()
    assert client.get(f"/api/conversations/{mine.pk}/export/").status_code == 401
    assert client.get("/api/export/").status_code == 401


def test_the_archive_holds_everything_and_can_be_imported(
    signed_in: Client, alice: User, bob: User, prices: dict[str, Price]
) -> None:
    every_kind(alice, prices["gpt-4o"])
    make_conversation(alice, messages=3, title="../../etc/passwd")
    make_conversation(alice, title="gone", deleted_at=timezone.now())
    make_conversation(bob, messages=2, title="Bob's")
    make_call(bob, prices["gpt-4o"], at=timezone.now())
    response = signed_in.get("/api/export/")
    assert response.headers["Content-Type"] == "application/zip"
    content = body(response)
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        assert made.testzip() is None
        names = made.namelist()
        assert len([name for name in names if name.startswith("conversations/")]) == 2
        assert len([name for name in names if name.startswith("markdown/")]) == 2
        assert not any(".." in name or name.startswith("/") for name in names)
        assert json.loads(made.read("account.json"))["email"] == "alice@example.com"
        rows = list(csv.DictReader(io.StringIO(made.read("usage.csv").decode())))
        assert [(row["model"], row["input_tokens"], row["outcome"]) for row in rows] == [("gpt-4o", "1000", "complete")]
        assert "Bob" not in "".join(names)
    run = done(bob, raw=content)
    assert (run.added, run.skipped) == (2, 0)


def test_the_archive_of_nothing_is_a_zip(alice: User) -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(archive.archive(alice, now=timezone.now())))) as made:
        assert made.namelist() == ["account.json", "usage.csv"]


def test_the_archive_is_made_piece_by_piece(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PIECE", 1000)
    for number in range(30):
        make_conversation(alice, messages=40, title=f"Talk {number}")
    pieces = list(archive.archive(alice, now=timezone.now()))
    assert len(pieces) > 10
    assert max(map(len, pieces)) < 100_000


def test_messages_come_in_pages_each_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = make_conversation(alice, messages=45)
    monkeypatch.setattr(pages, "PAGE", 10)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        depths = [message.depth for message in pages.current_branch(conversation)]
    assert depths == list(range(45))
    assert len(queries) == 5
    assert {message.depth for message in pages.whole_tree(conversation)} == set(range(45))
