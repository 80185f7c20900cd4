"""What stands beside a body: an address's parameters and headers, and what the answer's headers say."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import quote

import httpx2
import pytest

from accounts.models import User
from billing.models import Price
from conversations.models import Conversation, ImportRun
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
FAR = "9999-12-31T23:59:59-23:59"


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def allowance(response: httpx2.Response) -> tuple[int, int]:
    """What is allowed, and what is left of it."""
    limit, left, reset = (int(response.headers[name]) for name in LIMITS)
    assert 0 < reset <= 3600
    return limit, left


def wrong(response: httpx2.Response, name: str) -> bool:
    error = response.json()["error"]
    return (response.status_code, error["code"], list(error["fields"])) == (400, "invalid_request", [name])


def test_every_answer_to_a_message_or_a_quote_says_how_many_more_there_may_be(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    rates = {"CHAT_RATE": "9/h", "CHAT_RATE_SMART": "1/h", "CHAT_RATE_QUOTE": "7/h"}
    owner = Person(start_web(CHAT_REPLIES_AT_ONCE="1", **rates), alice)
    running, other = (f"conversations/{owner.new_conversation()}/messages/" for _ in range(2))
    assert [allowance(owner.post("quote/", {"content": "x"})) for _ in range(2)] == [(7, 6), (7, 5)]
    asked = {"json": {"content": "Hello", "tier": "smart"}, "headers": {"Idempotency-Key": "k"}}
    provider.enqueue(Script(text="One two three", hold_after=1))
    with owner.stream("POST", running, **asked) as stream:
        stream.until(lambda seen: seen.text == "One")
        assert allowance(stream.response) == (1, 0)
        at_once = [owner.post(other, {"content": "x", **tier}) for tier in ({}, {}, {"tier": "smart"})]
        assert [(each.status_code, each.headers["Retry-After"]) for each in at_once] == [(429, "5")] * 3
        assert [allowance(each) for each in at_once] == [(9, 8), (9, 8), (1, 0)]  # none of them was counted
        with owner.stream("POST", running, **asked) as again:
            assert allowance(again.response) == (1, 0)
        provider.release()
    for _ in range(2):
        repeated = owner.http.post(f"/api/{running}", **asked)
        assert (repeated.status_code, allowance(repeated)) == (200, (1, 0))
    assert allowance(owner.post(other, {"content": "x"})) == (9, 7)


def test_flags(owner: Person) -> None:
    plain, old, kept = (owner.new_conversation(title=title) for title in ("Plain", "Old", "Kept"))
    owner.http.patch(f"/api/conversations/{old}/", json={"archived": True})
    owner.http.patch(f"/api/conversations/{kept}/", json={"pinned": True})

    def listed(query: str) -> list[str]:
        return [row["id"] for row in owner.get(f"conversations/?{query}").json()["results"]]

    for yes in ("true", "True", "TRUE", "1"):
        assert (listed(f"archived={yes}"), listed(f"pinned={yes}")) == ([old], [kept])
    for no in ("archived=false", "archived=False", "archived=0", "archived=", "pinned=0", "pinned=FALSE", ""):
        assert listed(no) == [kept, plain], no
    for name in ("archived", "pinned"):
        for value in ("yes", "2", "truex", "\x01", "\u0661"):
            assert wrong(owner.get("conversations/", params={name: value}), name), value


def test_methods_that_there_are_not(owner: Person) -> None:
    conversation = owner.new_conversation()
    for path in (f"conversations/{conversation}/messages/", f"messages/{conversation}/regenerate/", "quote/"):
        for method in ("REPLY", "DISPATCH", "_LIST", "USER", "INITIAL", "TOKEN_ID", "X"):
            answer = owner.http.request(method, f"/api/{path}", json={"content": "x"})
            assert answer.status_code == 405, (method, path)
            assert answer.json()["error"]["request_id"]


def test_places_in_a_list_that_no_page_gave(owner: Person) -> None:
    for cursor in ("cD1hYmM=", "zzzz", "bz0tMQ=="):
        for path in ("imports/", "conversations/"):
            assert wrong(owner.get(path, params={"cursor": cursor}), "cursor"), (path, cursor)
    for instant in ("0001-01-01T00:00:00+23:59", FAR, "2026-01-01", "x"):
        place = quote(f"{instant}_{uuid.uuid4()}")
        assert owner.get(f"search/?q=a&before={place}").status_code == 200, instant


def test_places_in_the_list_of_a_page(
    enter: Callable[..., Person], alice: User, session_cookie: Callable[[User], tuple[str, str]]
) -> None:
    person = enter(alice, cookie=session_cookie(alice))
    for instant in ("0001-01-01T00:00:00+23:59", FAR):
        place = quote(f"{instant}_{uuid.uuid4()}")
        for page in ("/", "/side/"):
            assert person.http.get(f"{page}?before={place}").status_code == 200, (page, instant)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (r"filename*=unicode_escape''a%5Cud800b.json", "a\ufffdb.json"),
        (r"filename*=unicode_escape''%5Cudfff", "\ufffd"),
        (r"filename*=nobody''%41.json", "file"),
    ],
)
def test_a_file_s_name_that_cannot_be_stored(owner: Person, name: str, kept: str) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": f"attachment; {name}"}
    document = owner.get(f"conversations/{owner.new_conversation(title='Mine')}/export/").content
    answer = owner.http.post("/api/imports/", content=document, headers=headers)
    assert (answer.status_code, answer.json().get("file_name")) == (201, kept)
    assert ImportRun.objects.get().file_name == kept


def test_of_two_forms_the_one_that_is_wanted_more(owner: Person, provider: ScriptedProvider) -> None:
    path = f"/api/conversations/{owner.new_conversation()}/messages/"
    stream, json = "text/event-stream", "application/json"
    wanted = {
        f"{json};q=0.5, {stream}": stream,
        f"{stream};q=0.1, {json};q=0.9": json,
        f"{stream};q=0, */*": json,
        f"text/html, {stream};q=0.2, {json};q=0.1": stream,
        stream: stream,
        "*/*": json,
    }
    for accept, form in wanted.items():
        answer = owner.http.post(path, json={"content": "Hello"}, headers={"Accept": accept})
        assert answer.headers["Content-Type"] == form, accept
    refused = owner.http.post(path, json={"content": "Hello"}, headers={"Accept": "text/html"})
    assert refused.status_code == 406


def test_ids_in_capitals_are_the_same_ids(owner: Person) -> None:
    conversation = owner.new_conversation(title="Mine")
    assert owner.get(f"conversations/{conversation.upper()}/").json()["id"] == conversation
    with owner.socket(conversation.upper()) as tab:
        tab.tell(type="send", content="Hello")
        assert tab.next()["message"]["conversation"] == conversation
    assert Conversation.objects.get().messages.exists()
