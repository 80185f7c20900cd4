"""Searching: titles and texts on every branch, one's own alone, with the hit shown, and gone with its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.models import User
from conversations import words
from conversations.models import Conversation, Message
from conversations.search import Found, Part, find, marked
from tests.people import Person
from tests.talks import make_conversation


def shown(parts: list[Part]) -> str:
    return "".join(f"[{part.text}]" if part.hit else part.text for part in parts)


def titles(found: Found) -> list[str]:
    return [shown(hit.title) for hit in found.hits]


def say(conversation: Conversation, depth: int, content: str, **fields: Any) -> Message:
    message = conversation.messages.get(depth=depth)
    Message.objects.filter(pk=message.pk).update(content=content, **fields)
    return message


@pytest.fixture
def trip(alice: User) -> Conversation:
    conversation = make_conversation(alice, messages=4, title="Trip to Peru")
    say(conversation, 1, "The capital is **LIMA_city**. Write user@example.com of Ärger, naïve.")
    return conversation


@pytest.mark.parametrize(
    ("text", "title", "hit"),
    [
        ("trip", "[Trip] to Peru", ""),
        ("PER", "Trip to [Peru]", ""),
        ("lima", "Trip to Peru", "The capital is **[LIMA]_city**. Write user@example.com of Ärger, naïve."),
        ("capital  city", "Trip to Peru", "The [capital] is **LIMA_[city]**. Write user@example.com of Ärger, naïve."),
        ("example", "Trip to Peru", "The capital is **LIMA_city**. Write user@[example].com of Ärger, naïve."),
        ("ÄRGER", "Trip to Peru", "The capital is **LIMA_city**. Write user@example.com of [Ärger], naïve."),
        ("'user@example'", "Trip to Peru", "The capital is **LIMA_city**. Write [user]@[example].com of Ärger, naïve."),
    ],
)  # fmt: skip
def test_words_are_found_by_their_beginnings(trip: Conversation, alice: User, text: str, title: str, hit: str) -> None:
    [found] = find(user=alice, text=text).hits
    assert shown(found.title) == title
    assert shown(found.text) == hit
    assert (found.message is None) == (hit == "")


@pytest.mark.parametrize("text", ["", " \x00 ", "!?", "apital", "naive", "lima trip", "' OR 1=1 --", '" *', "a:* & b"])
def test_what_is_not_there_is_not_found(trip: Conversation, alice: User, text: str) -> None:
    assert find(user=alice, text=text).hits == []


def test_only_ones_own_that_are_there(trip: Conversation, alice: User, bob: User) -> None:
    make_conversation(bob, messages=2, title="Trip of Bob")
    make_conversation(alice, messages=2, title="Secret trip", temporary=True)
    gone = make_conversation(alice, messages=2, title="Deleted trip", deleted_at=timezone.now())
    put_away = make_conversation(alice, messages=2, title="Archived trip", archived=True)
    assert {hit.conversation for hit in find(user=alice, text="trip").hits} == {trip, put_away}
    assert titles(find(user=bob, text="trip")) == ["[Trip] of Bob"]
    Conversation.objects.filter(pk=gone.pk).update(deleted_at=None)
    assert gone in {hit.conversation for hit in find(user=alice, text="trip").hits}


def test_the_newest_message_that_has_the_words_is_shown(trip: Conversation, alice: User) -> None:
    say(trip, 0, "Llamas?")
    newest = say(trip, 3, "x " * 200 + "many llamas here " + "y " * 200, current=False)
    [hit] = find(user=alice, text="llama").hits
    assert hit.message == newest
    assert shown(hit.text).startswith("…x x")
    assert " many [llamas] here y " in shown(hit.text)
    assert shown(hit.text).endswith("y…")
    say(trip, 3, "x " * 40 + "many llamas")
    assert shown(find(user=alice, text="llama").hits[0].text) == "x " * 40 + "many [llamas]"
    assert len(shown(hit.text)) < 230


def test_what_changes_and_what_goes_is_found_so(trip: Conversation, alice: User) -> None:
    Conversation.objects.filter(pk=trip.pk).update(title="Journey")
    assert find(user=alice, text="trip").hits == []
    assert titles(find(user=alice, text="journey")) == ["[Journey]"]
    say(trip, 1, "Quito")
    assert find(user=alice, text="lima").hits == []
    assert len(find(user=alice, text="quito").hits) == 1
    trip.messages.filter(depth=3).delete()
    trip.delete()
    assert find(user=alice, text="journey").hits == []
    assert find(user=alice, text="quito").hits == []


def test_long_texts_are_indexed_as_far_as_they_can_be(trip: Conversation, alice: User) -> None:
    unique = " ".join(f"w{number:x}é" for number in range(140_000))
    say(trip, 1, f"beginning {unique[:900_000]} ending")
    assert len(find(user=alice, text="beginning").hits) == 1
    say(trip, 1, "長" * 300_000 + " 長城")
    assert find(user=alice, text="beginning").hits == []


def test_pages_of_hits(alice: User) -> None:
    made = [make_conversation(alice, title=f"Trip {number}") for number in range(45)]
    seen: list[Conversation] = []
    before, pages = "", 0
    while True:
        found = find(user=alice, text="trip", before=before)
        seen += [hit.conversation for hit in found.hits]
        before, pages = found.before, pages + 1
        if not before:
            break
    assert pages == 3
    assert seen == made[::-1]


def test_as_many_queries_for_many_hits_as_for_one(
    trip: Conversation, alice: User, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):
        find(user=alice, text="lima")
    for number in range(30):
        make_conversation(alice, messages=10, title=f"Trip {number}")
    with django_assert_num_queries(3):
        assert len(find(user=alice, text="text").hits) == 20


@pytest.mark.only("scaled")  # SQLite's index is asked by `MATCH`, which does nothing else
def test_only_hits_are_read(trip: Conversation, alice: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        query = words.conversations_with(["lima"], user_id=alice.pk)
        cursor.execute(f"EXPLAIN {query.sql}", query.params)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("SET enable_seqscan = on")
    assert "Bitmap Index Scan on message_words" in plan
    assert "Bitmap Index Scan on conversation_words" in plan
    assert "Seq Scan" not in plan


@pytest.mark.only("embedded")
@pytest.mark.django_db(transaction=True)
def test_a_table_made_anew_keeps_its_words(alice: User) -> None:
    """As a migration does on SQLite, where a table that is made anew has lost its triggers."""
    conversation = make_conversation(alice, messages=1, title="Old trip")
    words.before_migrations(using="default", plan=[object()])
    Conversation.objects.filter(pk=conversation.pk).update(title="New trip")
    words.after_migrations(using="default", plan=[object()])
    assert titles(find(user=alice, text="new")) == ["[New] trip"]
    assert find(user=alice, text="old").hits == []
    call_command("migrate", verbosity=0)
    Conversation.objects.filter(pk=conversation.pk).update(title="Newest trip")
    assert titles(find(user=alice, text="newest")) == ["[Newest] trip"]


def test_marks_fit_any_text() -> None:
    assert shown(marked("Abc abcd xabc", ["abc"])) == "[Abc] [abcd] xabc"
    assert shown(marked("", ["abc"])) == ""
    assert shown(marked("a.b", ["a"])) == "[a].b"


def test_the_address(enter: Callable[..., Person], alice: User, bob: User) -> None:
    person = enter(alice)
    conversation = person.new_conversation(title="Budget 2027")
    body = person.get("search/", params={"q": "bud"}).json()
    assert set(body) == {"next", "results"}
    [hit] = body["results"]
    assert hit["conversation"]["id"] == conversation
    assert hit["title"] == [{"text": "Budget", "hit": True}, {"text": " 2027", "hit": False}]
    assert (hit["message"], hit["role"], hit["current"], hit["text"]) == (None, None, False, [])
    for number in range(21):
        person.new_conversation(title=f"Budget {number}")
    first = person.get("search/", params={"q": "budget"}).json()
    second = person.http.get(first["next"]).json()
    assert [len(first["results"]), len(second["results"]), second["next"]] == [20, 2, None]
    assert enter(bob).get("search/", params={"q": "budget"}).json() == {"next": None, "results": []}
