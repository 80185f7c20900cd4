"""Moving between branches: `2 / 3`, down to the newest leaf, safe beside a send, and another's stays hidden."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.errors import NotFound
from accounts.models import User
from conversations import branch, thread
from conversations.models import Conversation, Message
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.talks import make_conversation


def below(parent: Message | None, conversation: Conversation, content: str, *, minutes: int = 0) -> Message:
    """A message that is on no current branch."""
    depth = 0 if parent is None else parent.depth + 1
    return Message.objects.create(
        conversation=conversation, parent=parent, depth=depth, current=False, role="assistant" if depth % 2 else "user",
        content=content, created_at=timezone.now() + timedelta(minutes=minutes),
    )  # fmt: skip


def current(conversation: Conversation) -> list[str]:
    """What the current branch says; each of its messages must lie below the one before."""
    found = list(conversation.messages.current())
    assert [message.depth for message in found] == list(range(len(found)))
    assert [message.parent_id for message in found] == [None, *(message.pk for message in found[:-1])][: len(found)]
    return [message.content for message in found]


def test_a_branch_is_taken_down_to_its_newest_leaf(alice: User) -> None:
    conversation = make_conversation(alice)
    first = below(None, conversation, "q")
    a1, a2 = (below(first, conversation, text) for text in ("a1", "a2"))
    deep = below(below(a1, conversation, "q2"), conversation, "a3")
    newer = below(below(a1, conversation, "other q2", minutes=1), conversation, "other a3", minutes=2)
    assert branch.select(user=alice, message_id=a1.pk) == newer
    assert current(conversation) == ["q", "a1", "other q2", "other a3"]
    assert branch.select(user=alice, message_id=a2.pk) == a2
    assert current(conversation) == ["q", "a2"]
    assert branch.select(user=alice, message_id=deep.parent_id) == deep
    assert current(conversation) == ["q", "a1", "q2", "a3"]
    assert branch.select(user=alice, message_id=deep.pk) == deep
    assert branch.select(user=alice, message_id=first.pk) == newer
    assert current(conversation) == ["q", "a1", "other q2", "other a3"]


def test_nobody_elses_and_nothing_deleted(alice: User, bob: User) -> None:
    conversation = make_conversation(alice, messages=2)
    message = conversation.messages.get(depth=1)
    for user, pk in ((bob, message.pk), (alice, uuid.uuid4())):
        with pytest.raises(NotFound):
            branch.select(user=user, message_id=pk)
        with pytest.raises(NotFound):
            branch.siblings(user=user, message_id=pk)
    Conversation.objects.update(deleted_at=timezone.now())
    with pytest.raises(NotFound):
        branch.select(user=alice, message_id=message.pk)


def test_where_a_message_stands_among_its_versions(alice: User, django_assert_num_queries: Any) -> None:
    conversation = make_conversation(alice, messages=4)
    messages = list(conversation.messages.order_by("depth"))
    assert thread.page(conversation=conversation).versions == {}
    other = below(None, conversation, "other q", minutes=1)
    again = [below(messages[2], conversation, text, minutes=number) for number, text in enumerate(("b", "c"), 1)]
    with django_assert_num_queries(2):
        versions = thread.page(conversation=conversation).versions
    assert set(versions) == {messages[0].pk, messages[3].pk}
    assert versions[messages[0].pk] == thread.Versions(number=1, count=2, previous=None, next=other.pk)
    branch.select(user=alice, message_id=again[0].pk)
    versions = thread.page(conversation=conversation).versions
    assert versions[again[0].pk] == thread.Versions(number=2, count=3, previous=messages[3].pk, next=again[1].pk)
    assert list(branch.siblings(user=alice, message_id=again[0].pk)) == [messages[3], *again]


def test_an_answer_that_was_written_anew_hundreds_of_times_costs_no_more_to_show(
    enter: Callable[..., Person], alice: User
) -> None:
    conversation = make_conversation(alice, messages=2)
    question, first = conversation.messages.order_by("depth")
    others = [
        Message(
            conversation=conversation, parent=question, depth=1, current=False, role="assistant",
            content=f"again {number}", created_at=first.created_at + timedelta(seconds=number // 2),
        )
        for number in range(300)
    ]  # fmt: skip
    Message.objects.bulk_create(others)
    family = sorted([first, *others], key=lambda message: (message.created_at, message.pk))
    place = family.index(others[120])
    branch.select(user=alice, message_id=others[120].pk)
    with CaptureQueriesContext(connection) as asked:
        versions = thread.page(conversation=conversation).versions
    assert versions == {
        others[120].pk: thread.Versions(
            number=place + 1, count=301, previous=family[place - 1].pk, next=family[place + 1].pk
        )
    }
    if connection.vendor == "sqlite":  # PostgreSQL reads small tables as a whole
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked.captured_queries[-1]['sql']}")
            beside = [step for *_, step in cursor.fetchall() if "beside" in step]
        assert len(beside) == 8
        assert all("COVERING INDEX message_versions" in step for step in beside), beside

    person = enter(alice)
    page = person.get(f"messages/{first.pk}/siblings/").json()
    seen = page["results"]
    while page["next"]:
        page = person.http.get(page["next"]).json()
        assert len(page["results"]) <= 50
        seen += page["results"]
    assert [message["id"] for message in seen] == [str(message.pk) for message in family]
    assert person.get(f"messages/{others[120].pk}/").json()["content"] == "again 120"


def test_a_long_way_costs_what_it_changes(alice: User, django_assert_max_num_queries: Any) -> None:
    conversation = make_conversation(alice, messages=2000)
    old = conversation.messages.get(depth=1999)
    made: list[Message] = []
    for depth in range(2, 2000):
        made.append(
            Message(
                conversation=conversation,
                parent=made[-1] if made else conversation.messages.get(depth=1),
                depth=depth,
                current=False,
                role="assistant" if depth % 2 else "user",
                content="x",
                created_at=timezone.now(),
            )
        )
    Message.objects.bulk_create(made, batch_size=500)
    with django_assert_max_num_queries(55):
        branch.select(user=alice, message_id=made[0].pk)
    assert conversation.messages.current().last() == made[-1]
    assert conversation.messages.filter(current=True).count() == 2000
    with django_assert_max_num_queries(12):
        leaf = below(made[-2], conversation, "x")
        branch.select(user=alice, message_id=leaf.pk)
    branch.select(user=alice, message_id=old.pk)
    assert current(conversation)[2:4] == ["text 2 <b>&", "text 3 <b>&"]


def test_by_the_address_and_in_the_other_tabs(
    enter: Callable[..., Person], alice: User, bob: User, provider: ScriptedProvider
) -> None:
    person = enter(alice)
    conversation = person.new_conversation()
    provider.set_default(Script(text="An answer"))
    path = f"conversations/{conversation}/messages/"
    first = person.post(path, {"content": "One"}).json()["message"]
    second = person.post(path, {"content": "Two", "parent": first["id"]}).json()["message"]
    again = person.post(f"messages/{first['id']}/regenerate/", {"tier": "smart"}).json()["message"]
    assert again["model"] == "gpt-4o"
    edited = person.post(path, {"content": "Other one", "parent": None}).json()["message"]
    assert [message["content"] for message in person.messages(conversation)] == ["Other one", "An answer"]
    assert enter(bob).post(f"messages/{first['id']}/select/").status_code == 404

    chosen = person.post(f"messages/{first['id']}/select/")
    assert (chosen.status_code, chosen.json()["id"]) == (200, second["id"])
    assert [message["id"] for message in person.messages(conversation)][1::2] == [first["id"], second["id"]]
    beside = person.get(f"messages/{again['id']}/siblings/").json()["results"]
    assert [(message["id"], message["current"]) for message in beside] == [(first["id"], True), (again["id"], False)]
    assert len(person.get(f"messages/{edited['parent']}/siblings/").json()["results"]) == 2
    assert enter(bob).get(f"messages/{again['id']}/siblings/").status_code == 404


def test_switching_and_sending_at_once_leave_one_branch(
    enter: Callable[..., Person], alice: User, provider: ScriptedProvider
) -> None:
    person = enter(alice)
    conversation = person.new_conversation()
    path = f"conversations/{conversation}/messages/"
    first = person.post(path, {"content": "One"}).json()["message"]
    person.post(path, {"content": "Two"})
    person.post(path, {"content": "Other two", "parent": first["id"]})
    person.post(path, {"content": "Other one", "parent": None})
    choices = [str(pk) for pk in Message.objects.values_list("pk", flat=True)]

    def act(number: int) -> int:
        source = random.Random(number)
        if number % 3:
            return person.post(f"messages/{source.choice(choices)}/select/").status_code
        place = {"parent": source.choice([None, first["id"]])} if number % 2 else {}
        return person.post(path, {"content": f"q{number}", **place}).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(act, range(60)))
    assert {code for number, code in enumerate(codes) if number % 3} == {200}
    assert {code for number, code in enumerate(codes) if not number % 3} <= {201, 409}
    current(Conversation.objects.get(pk=conversation))
