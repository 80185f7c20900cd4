"""The event-stream door: everything once and in order, from any place, whatever the client does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from channels.testing import HttpCommunicator
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.models import User
from accounts.sessions import SEEN_EVERY
from billing.models import UsageRecord
from chatproject.asgi import doors
from conversations.models import Message
from conversations.pool import in_database
from tests import road
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.tabs import Seen
from tests.talks import make_conversation

STARTED = {"type", "message", "user_message", "context", "max_cost_usd"}
DELTA = {"type", "message_id", "start", "end", "content"}
DONE = {"type", "message", "usage", "budget"}
TEXT = "Grüße 😀 " * 30 + "und mehr"


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def path(conversation: str) -> str:
    return f"conversations/{conversation}/messages/"


def test_a_reply_from_its_beginning_to_its_end(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text=TEXT, delay_between=0.003, split_utf8=True))
    conversation = owner.new_conversation()
    with owner.stream("POST", path(conversation), json={"content": "Hello there"}) as stream:
        headers = stream.response.headers
        assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/event-stream", "no-store")
        assert int(headers["RateLimit-Remaining"]) < int(headers["RateLimit-Limit"])
        seen = stream.until(lambda seen: seen.ended)
        assert stream.rest == []
    row = provider.wait_idle().rows[0]
    started, done = seen.started, seen.last
    assert seen.kinds == ["started", "delta", "done"]
    assert [set(event) for event in (started, seen.events[1], done)] == [STARTED, DELTA, DONE]
    assert seen.text == done["message"]["content"] == row.text == TEXT
    assert len(seen.events) < row.deltas  # pieces that come together are told together
    assert stream.ids == [str(event.get("end", 0)) for event in seen.events[:-1]] + [f"{seen.end}+done"]
    assert (started["message"]["status"], started["message"]["usage"]) == ("generating", None)
    assert started["user_message"]["content"] == "Hello there"
    assert started["message"]["parent"] == started["user_message"]["id"]
    assert Decimal(done["usage"]["cost_usd"]) == row.cost <= Decimal(started["max_cost_usd"])
    assert done["message"] == owner.reply(conversation)


def test_the_first_delta_comes_while_the_provider_still_writes(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two three", hold_after=1))
    with owner.stream("POST", path(owner.new_conversation()), json={"content": "Hello"}) as stream:
        seen = stream.until(lambda seen: seen.text == "One")
        assert provider.bill.waiting == 1
        provider.release()
        assert stream.until(lambda seen: seen.ended, seen).text == "One two three"


def test_a_cut_at_the_length_limit_is_told(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=2000))
    with owner.stream("POST", path(owner.new_conversation()), json={"content": "Hello"}) as stream:
        seen = stream.until(lambda seen: seen.ended)
    assert seen.kinds == ["started", "delta", "warning", "done"]
    warning = seen.events[-2]
    assert set(warning) == {"type", "message_id", "code", "message"}
    assert (warning["code"], warning["message_id"]) == ("truncated", seen.last["message"]["id"])
    assert seen.last["message"]["finish_reason"] == "length"


def test_from_every_place_while_it_runs_and_after(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text=TEXT, hold_after=20))
    with owner.stream("POST", path(owner.new_conversation()), json={"content": "Hello"}) as stream:
        seen = stream.until(lambda seen: seen.text == TEXT[: len("Grüße 😀 " * 10) - 1])
        message_id = seen.started["message"]["id"]
        half = seen.end // 2
        with owner.stream("GET", f"messages/{message_id}/events/", headers={"Last-Event-ID": str(half)}) as again:
            early = again.until(lambda resumed: resumed.end == seen.end, Seen(end=half))
            assert early.text == seen.text[half:]
            provider.release()
            assert again.until(lambda resumed: resumed.ended, early).kinds == ["delta", "done"]
        assert stream.until(lambda seen: seen.ended, seen).text == TEXT
    assert early.text == TEXT[half:]
    for place in range(0, seen.end + 1, 37):
        by_query, by_header = owner.follow(message_id, start=place), owner.follow(message_id, last=str(place))
        assert by_query.text == by_header.text
        assert by_query.events[-1] == by_header.events[-1] == seen.last
    assert owner.follow(message_id).text == TEXT
    assert owner.follow(message_id, start=seen.end).kinds == ["done"]


def test_joining_again_and_again_while_it_is_written(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=400, delay_between=0.005))
    with owner.stream("POST", path(owner.new_conversation()), json={"content": "Hello"}) as stream:
        seen = stream.until(lambda seen: seen.text)
        joined = 0
        while not seen.ended:  # a delta may come in the log and as news at once: it is told once
            place = {"params": {"from": seen.end}}
            with owner.stream("GET", f"messages/{seen.started['message']['id']}/events/", **place) as again:
                goal = len(seen.events) + 2
                again.until(lambda seen, goal=goal: seen.ended or len(seen.events) >= goal, seen)
                joined += 1
    assert joined > 10
    assert seen.text == provider.wait_idle().rows[0].text == seen.last["message"]["content"]


def test_nothing_comes_after_the_last_event(owner: Person, provider: ScriptedProvider) -> None:
    with owner.stream("POST", path(owner.new_conversation()), json={"content": "Hello"}) as stream:
        message_id = stream.until(lambda seen: seen.ended).last["message"]["id"]
    gone = owner.get(f"messages/{message_id}/events/", headers={"Last-Event-ID": stream.ids[-1]})
    assert (gone.status_code, gone.content) == (204, b"")


@pytest.mark.parametrize("place", ["-1", "x", "1.5", "٣", "9" * 5000, " ", "1+x"])
def test_places_that_are_none(owner: Person, provider: ScriptedProvider, place: str) -> None:
    conversation = owner.new_conversation()
    answer = owner.post(path(conversation), {"content": "Hello"}).json()["message"]
    refused = owner.get(f"messages/{answer['id']}/events/", params={"from": place})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    question = owner.get(f"messages/{answer['parent']}/events/")
    assert (question.status_code, question.json()["error"]["code"]) == (400, "invalid_request")


def test_who_goes_away_in_mid_reply_does_not_stop_it(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two three", hold_after=1))
    with owner.stream("POST", path(owner.new_conversation()), json={"content": "Hello"}) as stream:
        message_id = stream.until(lambda seen: seen.text == "One").started["message"]["id"]
    provider.release()
    assert owner.follow(message_id).text == "One two three"
    assert provider.wait_idle().rows[0].outcome == "complete"


def test_who_goes_away_at_once_does_not_stop_it_either(
    owner: Person, live_web: Web, provider: ScriptedProvider
) -> None:
    conversations = [owner.new_conversation() for _ in range(40)]
    body = b'{"content": "Hello"}'
    for number, conversation in enumerate(conversations):
        with socket.create_connection(("127.0.0.1", live_web.port), timeout=10) as connection:
            connection.sendall(
                f"POST /api/{path(conversation)} HTTP/1.1\r\nHost: 127.0.0.1:{live_web.port}\r\n"
                f"Authorization: {owner.headers['Authorization']}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            time.sleep(number * 0.001)  # from before anything is looked at to after the answer
    begun = Message.objects.filter(role="assistant")
    quiet = before = 0
    while quiet < 10:  # two seconds in which nothing begins and nothing runs
        for message in Message.objects.generating():
            owner.follow(str(message.pk))
        time.sleep(0.2)
        quiet = quiet + 1 if begun.count() == before and not Message.objects.generating().exists() else 0
        before = begun.count()
    assert begun.count() > 5
    assert not begun.exclude(status="complete").exists()
    assert len(provider.wait_idle().charged) == UsageRecord.objects.filter(measured="provider").count() == begun.count()


@pytest.mark.once("embedded")
def test_a_silent_stream_says_that_it_is_alive(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two", hold_after=1))
    with owner.stream("POST", path(owner.new_conversation()), json={"content": "Hello"}) as stream:
        seen = stream.until(lambda seen: seen.text == "One")
        for line in stream._lines:
            if line.startswith(":"):
                break
        provider.release()
        assert stream.until(lambda seen: seen.ended, seen).text == "One two"


@pytest.mark.only("scaled")  # SQLite has no pool whose connections can be counted
def test_a_stream_holds_no_connection_also_where_its_browser_is_noted(
    transactional_db: None,
    alice: User,
    prices: object,
    provider: ScriptedProvider,
    settings: Any,
    session_cookie: Callable[[User], tuple[str, str]],
) -> None:
    settings.OPENAI_BASE_URL = provider.base_url
    provider.enqueue(Script(text="One two", hold_after=1))
    conversation, (name, session) = make_conversation(alice), session_cookie(alice)
    cache.set(f"session.seen.{session}", timezone.now() - SEEN_EVERY)
    headers = [(b"host", b"localhost"), (b"accept", b"text/event-stream"), (b"cookie", f"{name}={session}".encode())]

    own = connection.connection is not None  # that of the test itself

    async def all_back() -> bool:
        found = connection.pool.get_stats()
        return bool(found["pool_size"] - found["pool_available"] <= own)

    async def scenario() -> None:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting)
        address = f"/api/messages/{begun.message.pk}/events/"
        stream = HttpCommunicator(doors, "GET", address, headers=headers)
        await stream.send_input({"type": "http.request", "body": b"", "more_body": False})
        assert (await stream.receive_output(10))["status"] == 200
        assert b'"content":"One"' in (await stream.receive_output(10))["body"]
        assert await in_database(UserSession.objects.filter(session_key=session).exists)  # the browser was noted
        await road.until(all_back)  # who writes and who follows may have one for a moment
        provider.release()
        while (await stream.receive_output(10)).get("more_body"):
            pass
        await stream.wait()

    road.run(scenario())
