"""Personal tokens: what opens a door with one, for how long, and what was spent by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.db import connection, transaction
from django.test import AsyncClient
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from accounts import sessions
from accounts.models import Token, User
from accounts.tokens import token_of
from billing import corrections
from billing.models import UsageRecord
from billing.usage import spent_by_token
from chatproject.asgi import application
from conversations import feed, hints, visitors
from conversations.models import Message
from conversations.pool import in_database
from tests import road
from tests.doors import DOORS
from tests.locks import until_somebody_waits
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.talks import make_conversation


def token_of_person(person: Person) -> Token:
    secret = person.headers["Authorization"].removeprefix("Bearer ")
    return Token.objects.get(digest=Token.hash(secret))


def test_every_door_says_which_token_asked_and_its_spend_is_theirs(
    enter: Callable[..., Person], alice: User, session_cookie: Callable[[User], tuple[str, str]], staff: User
) -> None:
    program, other, page = enter(alice), enter(alice), enter(alice, cookie=session_cookie(alice))
    for person, doors in ((program, list(DOORS)), (other, ["json"]), (page, ["json", "socket"])):
        for name in doors:
            with DOORS[name](person, person.new_conversation()) as door:
                assert door.send("Hello").code == "complete"
    last = program.reply(program.get("conversations/").json()["results"][-1]["id"])
    assert program.post(f"messages/{last['id']}/regenerate/").status_code == 201
    tokens = [token_of_person(program).pk, token_of_person(other).pk, None]
    assert [UsageRecord.objects.filter(api_token=token).count() for token in tokens] == [4, 1, 2]
    costs = [sum(UsageRecord.objects.filter(api_token=token).values_list("cost", flat=True)) for token in tokens]
    assert spent_by_token([*tokens[:2], 0]) == dict(zip(tokens[:2], costs[:2], strict=True))
    record = UsageRecord.objects.get(api_token=tokens[1])
    corrections.reverse(record=record, by=staff, reason="Wrong.", now=timezone.now())
    assert spent_by_token(tokens[1:2]) == {tokens[1]: 0}, "what is taken back is not spent"
    assert road.differences() == []


@pytest.mark.parametrize("end", ["expires_at", "revoked_at"])
def test_a_token_that_has_ended_opens_no_door_and_closes_the_open_socket(
    enter: Callable[..., Person], alice: User, end: str, provider: ScriptedProvider
) -> None:
    person = enter(alice)
    conversation, token = person.new_conversation(), token_of_person(person)
    with person.socket(conversation) as tab:
        tab.tell(type="nonsense")
        assert tab.refused()["code"] == "invalid_request"
        Token.objects.filter(pk=token.pk).update(**{end: timezone.now()})
        tab.tell(type="send", content="Hello there")
        assert tab.refused()["code"] == "not_authenticated"
        with pytest.raises(ConnectionClosed) as closed:
            tab.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
    with person.socket(conversation) as tab:
        assert tab.refused()["code"] == "not_authenticated"
    for response in (
        person.get("conversations/"),
        person.post(f"conversations/{conversation}/messages/", {"content": "x"}),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (401, "not_authenticated")
    assert provider.requests == []


@pytest.mark.django_db(transaction=True)
def test_a_socket_that_only_listens_is_asked_again_who_it_is(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = Token.issue(user=alice)
    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {secret}".encode())]

    async def scenario() -> list[Any]:
        tab = WebsocketCommunicator(application, "/ws/me/", headers=headers)
        assert (await tab.connect())[0]
        told = [await tab.receive_json_from()]
        monkeypatch.setattr(visitors, "LOOK_AGAIN_SECONDS", 0)
        await in_database(Token.objects.filter(pk=token.pk).update, revoked_at=timezone.now())
        await tell(alice)
        told += [await tab.receive_json_from(), await tab.receive_output()]
        await tell(alice)
        assert await tab.receive_nothing()
        return told

    listening, error, closed = road.run(scenario())
    assert listening == {"type": "listening"}
    assert error["error"]["code"] == "not_authenticated"
    assert closed == {"type": "websocket.close", "code": 4401}


@pytest.mark.only("scaled")
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_while_it_is_asked_ahead_who_they_are(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = Token.issue(user=alice)
    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {secret}".encode())]

    holds, told = threading.Event(), threading.Event()

    @transaction.atomic
    def revoke() -> None:
        connection.cursor().execute("LOCK TABLE accounts_token IN ACCESS EXCLUSIVE MODE")
        holds.set()
        assert told.wait(timeout=20), "they were told nothing until it was answered"
        until_somebody_waits()  # who is asking
        Token.objects.filter(pk=token.pk).update(revoked_at=timezone.now())

    async def scenario() -> dict[str, Any]:
        tab = WebsocketCommunicator(application, "/ws/me/", headers=headers)
        assert (await tab.connect())[0]
        heard = await tab.receive_json_from()
        monkeypatch.setattr(visitors, "AHEAD", 1)  # with each event it is asked
        revoking = asyncio.create_task(in_database(revoke))
        await asyncio.to_thread(holds.wait, 20)
        await tell(alice)
        assert await tab.receive_json_from() == {"type": "secret"}
        told.set()
        await revoking
        while "error" not in heard:
            await tell(alice)
            heard = await tab.receive_json_from()
        return heard

    assert road.run(scenario())["error"]["code"] == "not_authenticated"


@pytest.mark.once("embedded")
@pytest.mark.parametrize("by", ["session", "token"])
def test_an_event_stream_ends_with_what_opened_it(
    transactional_db: None, alice: User, prices: object, provider: ScriptedProvider, settings: Any,
    monkeypatch: pytest.MonkeyPatch, by: str,
) -> None:  # fmt: skip
    settings.OPENAI_BASE_URL = provider.base_url
    conversation = make_conversation(alice)
    client, token = AsyncClient(), Token.issue(user=alice)
    client.force_login(alice, backend=settings.AUTHENTICATION_BACKENDS[0])
    headers = {} if by == "session" else {"Authorization": f"Bearer {token[1]}"}
    provider.enqueue(Script(text="One two three", hold_after=1))

    async def scenario() -> tuple[bytes, list[bytes]]:
        begun = await road.sent(road.ask(conversation))
        response = await client.get(f"/api/messages/{begun.message.pk}/events/", headers=headers)
        told = aiter(response.streaming_content)
        first = await anext(told)
        monkeypatch.setattr(visitors, "LOOK_AGAIN_SECONDS", 0)
        if by == "session":
            await in_database(sessions.end_all, alice)
        else:
            await in_database(Token.objects.filter(pk=token[0].pk).update, revoked_at=timezone.now())
        provider.release()
        return first, [piece async for piece in told]

    first, rest = road.run(scenario())
    assert b'"content":"One"' in first
    assert len(rest) == 1
    assert b"not_authenticated" in rest[0]
    assert Message.objects.get(role="assistant").content == "One two three"


async def tell(user: User) -> None:
    await hints.announce(feed.group_of(user.pk), {"data": '{"type":"secret"}'})


@pytest.mark.django_db
def test_its_use_is_noted_once_a_minute(alice: User, django_assert_num_queries: Any) -> None:
    _, secret = Token.issue(user=alice)
    now = timezone.now()
    assert token_of(secret="another", now=now) is None  # what is asked is prepared
    for after, queries in ((0, 2), (59, 1), (60, 2), (61, 1)):
        with django_assert_num_queries(queries):
            assert token_of(secret=secret, now=now + timedelta(seconds=after)) is not None
    assert Token.objects.get().last_used_at == now + timedelta(seconds=60)
