"""The WebSocket door: who may open it, and every tab of a conversation sees its replies exactly once."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from allauth.usersessions.models import UserSession
from django.utils import timezone
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin
from websockets.uri import parse_uri

from accounts.models import User
from billing.models import BudgetPeriod, Price
from conversations.models import Message
from tests.locks import nobody_can_read
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.tabs import PATIENCE, Seen, Socket
from tests.talks import make_call, make_conversation, reply_of
from tests.wire import wire_to_postgresql

TEXT = "Grüße 😀 " * 30 + "und mehr"


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def test_send_and_see(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text=TEXT, delay_between=0.003, split_utf8=True))
    conversation = owner.new_conversation()
    with owner.socket(conversation) as tab:
        tab.tell(type="send", key="k1", content="Hello there", tier="smart")
        started = tab.next()
        seen = tab.ended(started["message"]["id"])
    assert set(started) == {"type", "message", "user_message", "context", "max_cost_usd", "key"}
    assert started["key"] == "k1"
    assert started["user_message"]["content"] == "Hello there"
    assert seen.kinds == ["started", "delta", "done"]
    assert set(seen.events[1]) == {"type", "message_id", "start", "end", "content"}
    assert set(seen.last) == {"type", "message", "usage", "budget"}
    assert seen.text == TEXT == seen.last["message"]["content"]
    assert seen.last["message"] == owner.reply(conversation)
    assert (seen.last["message"]["model"], provider.requests[0].body["model"]) == ("gpt-4o", "gpt-4o")


def test_every_tab_sees_everything_once(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text=TEXT, delay_between=0.003))
    conversation, other = owner.new_conversation(), owner.new_conversation()
    with owner.socket(conversation) as one, owner.socket(conversation) as two, owner.socket(other) as elsewhere:
        one.tell(type="send", key="k1", content="Hello there")
        started = [tab.next() for tab in (one, two)]
        assert started[0] == started[1]
        message_id = started[0]["message"]["id"]
        tabs = [tab.ended(message_id) for tab in (one, two)]
        assert [tab.kinds for tab in tabs] == [["started", "delta", "done"]] * 2
        assert [tab.text for tab in tabs] == [TEXT, TEXT]
        with pytest.raises(TimeoutError):
            elsewhere.next(timeout=0.05)
        for tab in (one, two):
            with pytest.raises(TimeoutError):
                tab.next(timeout=0.05)


def test_a_later_frame_does_not_overtake_an_earlier_one(owner: Person, provider: ScriptedProvider) -> None:
    for _ in range(5):
        provider.enqueue(Script(text=TEXT, hold_after=1))
        conversation = owner.new_conversation(title="It has a name")  # so no call asks for one
        with owner.socket(conversation) as tab:
            for number in range(6):
                tab.tell(type="send", key=str(number), content=f"Number {number}")
            started = tab.until(lambda event: event["type"] == "started")
            assert started["user_message"]["content"] == "Number 0"
            assert tab.refused()["code"] == "reply_in_progress"
            tab.tell(type="stop", message_id=started["message"]["id"])
            assert tab.ended(started["message"]["id"]).last["type"] == "done"


def test_frames_keep_their_order_while_it_is_found_out_who_sends_them(owner: Person) -> None:
    """They are so many that some come in the very moment in which it is known."""
    conversation = owner.new_conversation()
    keys = [str(number) for number in range(90)]
    for _ in range(20):
        with owner.socket(conversation) as tab:
            for key in keys:
                tab.tell(type="follow", key=key)
            assert [tab.refused()["key"] for _key in keys] == keys


def test_of_two_follows_the_later_holds(owner: Person, provider: ScriptedProvider) -> None:
    """The earlier, from a place far beyond the end, would have this tab hear nothing until that is reached."""
    provider.enqueue(Script(delta_count=3_000, delay_between=0.01))
    conversation = owner.new_conversation(title="It has a name")
    with owner.socket(conversation) as sender:
        sender.tell(type="send", content="Hello")
        message_id = sender.next()["message"]["id"]
    try:
        for _ in range(10):
            with owner.socket(conversation) as tab:
                tab.tell(type="follow", message_id=message_id, **{"from": 10**9})
                tab.tell(type="follow", message_id=message_id, **{"from": 0})
                for _delta in range(5):
                    tab.until(lambda event: event["type"] == "delta")
    finally:
        owner.stop(message_id)


def test_a_reply_that_was_sent_by_rest_is_seen_too(owner: Person) -> None:
    conversation = owner.new_conversation()
    with owner.socket(conversation) as tab:
        answer = owner.post(f"conversations/{conversation}/messages/", {"content": "Hello"}).json()["message"]
        seen = tab.ended(answer["id"])
        assert (seen.started["user_message"]["content"], seen.last["message"]) == ("Hello", answer)


def test_follow_from_where_a_reloaded_page_is(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text=TEXT, hold_after=20))
    conversation = owner.new_conversation()
    with owner.socket(conversation) as first:
        first.tell(type="send", content="Hello")
        message_id = first.next()["message"]["id"]
        first.until(lambda event: first.seen[message_id].text.count("😀") == 10)
        end = first.seen[message_id].end
    with owner.socket(conversation) as second:  # the first tab is closed: the reply went on
        for place in (0, 7):
            second.seen[message_id] = Seen(end=place)
            second.tell(type="follow", message_id=message_id, **{"from": place})
            delta = second.next()
            assert (delta["start"], delta["end"], delta["content"]) == (place, end, TEXT[place:end])
        provider.release()
        assert second.ended(message_id).last["message"]["content"] == TEXT
    with owner.socket(conversation) as third:
        third.seen[message_id] = Seen(end=end)
        third.tell(type="follow", message_id=message_id, **{"from": end})
        seen = third.ended(message_id)
        assert seen.text == TEXT[end:]


def test_an_answer_of_more_than_a_megabyte_comes_whole(owner: Person, alice: User) -> None:
    conversation, text = make_conversation(alice, messages=2), "word " * 300_000
    Message.objects.filter(conversation=conversation, role="assistant").update(content=text, html=f"<p>{text}</p>")
    reply = str(conversation.messages.get(role="assistant").pk)
    with owner.socket(str(conversation.pk)) as tab:
        tab.tell(type="follow", message_id=reply, **{"from": 0})
        seen = tab.ended(reply)
        assert (seen.text, seen.last["message"]["html"]) == (text, f"<p>{text}</p>")
        tab.tell(type="send", content="x" * 1_100_000)  # what comes in is bounded as before
        assert tab.refused()["code"] == "body_too_large"


def test_a_question_cannot_be_followed(owner: Person) -> None:
    conversation = owner.new_conversation()
    answer = owner.post(f"conversations/{conversation}/messages/", {"content": "Hello"}).json()["message"]
    with owner.socket(conversation) as tab:
        tab.tell(type="follow", message_id=answer["parent"], **{"from": 0})
        assert tab.refused()["code"] == "invalid_request"


def test_the_same_key_on_the_socket(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    with owner.socket(conversation) as tab, owner.socket(conversation) as other:
        for _ in range(3):
            tab.tell(type="send", key="k1", content="Hello")
            message_id = tab.until(lambda event: event["type"] == "started")["message"]["id"]
            assert tab.ended(message_id).last["message"] == owner.reply(conversation)
        tab.tell(type="send", key="k1", content="Something else")
        error = tab.refused()
        assert (error["code"], error["message_id"]) == ("idempotency_conflict", message_id)
        assert other.ended(message_id).kinds == ["started", "delta", "done"]
        with pytest.raises(TimeoutError):
            other.next(timeout=0.05)
    assert len(provider.wait_idle().rows) == 1
    assert Message.objects.count() == 2


def test_sends_are_limited(start_web: Callable[..., Web], alice: User, prices: dict[str, Price]) -> None:
    owner = Person(start_web(CHAT_RATE="2/h"), alice)
    conversation = owner.new_conversation()
    with owner.socket(conversation) as tab:
        for number in range(2):
            tab.tell(type="send", content=f"Hello {number}")
            tab.ended(tab.next()["message"]["id"])
        tab.tell(type="send", content="Hello")
        error = tab.refused()
        assert (error["code"], 0 < error["retry_after"] <= 3600) == ("rate_limited", True)
        tab.tell(type="stop", message_id=str(uuid.uuid4()))  # only sends count
        assert tab.refused()["code"] == "not_found"
    assert Message.objects.count() == 4


# Who may open it


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "file://", "chrome://x", "http://[", "x"],
)
@pytest.mark.parametrize("way", ["cookie", "token"])
def test_foreign_origins(
    enter: Callable[..., Person], alice: User, session_cookie: Callable[[User], tuple[str, str]], origin: str, way: str
) -> None:
    owner = enter(alice, cookie=session_cookie(alice)) if way == "cookie" else enter(alice)
    with pytest.raises(InvalidStatus) as refused:
        owner.socket(owner.new_conversation(), origin=origin)
    assert refused.value.response.status_code == (400 if origin in ("http://[", "x") else 403)


def test_without_an_origin_only_a_token_opens(
    enter: Callable[..., Person], alice: User, session_cookie: Callable[[User], tuple[str, str]]
) -> None:
    browser, program = enter(alice, cookie=session_cookie(alice)), enter(alice)
    conversation = browser.new_conversation()
    with pytest.raises(InvalidStatus) as refused:
        browser.socket(conversation, origin=None)
    assert refused.value.response.status_code == 403
    for opened in (program.socket(conversation, origin=None), browser.socket(conversation)):
        with opened as tab:
            tab.tell(type="send", content="Hello")
            assert tab.next()["type"] == "started"
            tab.until(lambda event: event["type"] == "done")


def test_a_trusted_origin_may_be_any_of_a_domain(
    start_web: Callable[..., Web], alice: User, prices: dict[str, Price]
) -> None:
    program = Person(start_web(CSRF_TRUSTED_ORIGINS="https://*.example.com,http://one.example.org:8080"), alice)
    conversation = program.new_conversation()
    for origin in ("https://chat.example.com", "https://a.b.example.com", "http://one.example.org:8080"):
        with program.socket(conversation, origin=origin) as tab:
            tab.tell(type="stop", message_id=str(uuid.uuid4()))
            assert tab.refused()["code"] == "not_found"
    for origin in (
        "http://chat.example.com", "https://chat.example.com.evil.net", "https://evilexample.com",
        "https://chat.example.com:444", "http://one.example.org", "http://two.one.example.org:8080", "null",
    ):  # fmt: skip
        with pytest.raises(InvalidStatus):
            program.socket(conversation, origin=origin)


def test_a_new_secret_key_signs_nobody_out(
    start_web: Callable[..., Web], alice: User, session_cookie: Callable[[User], tuple[str, str]], settings: Any
) -> None:
    key, settings.SECRET_KEY = (f"for tests only and long enough for Django {number * 20}" for number in "12")
    name, value = session_cookie(alice)
    web = start_web(SECRET_KEY=key, SECRET_KEY_FALLBACKS=settings.SECRET_KEY)
    conversation = Person(web, alice).new_conversation()
    cookie = {"Cookie": f"{name}={value}"}

    def stays() -> None:
        with Socket(web, conversation, headers=cookie, origin=web.url) as tab:
            tab.tell(type="stop", message_id=str(uuid.uuid4()))
            assert tab.refused()["code"] == "not_found"

    stays()
    stays()  # the first one could not tell the browser of another name for its session
    address = f"{web.url}/api/conversations/"
    for _ in range(2):  # a page asks for many things at once, all by the same cookie
        assert httpx2.get(address, headers=cookie, trust_env=False).status_code == 200
    stays()
    elsewhere = {"Cookie": "=".join(session_cookie(alice))}
    UserSession.objects.create(user=alice, session_key=elsewhere["Cookie"].partition("=")[2], ip="127.0.0.1")
    listed = httpx2.get(f"{web.url}/accounts/sessions/", headers=cookie, trust_env=False)
    assert listed.status_code == 200  # to look at a session is not to end it
    assert httpx2.get(address, headers=elsewhere, trust_env=False).status_code == 200
    later = start_web(SECRET_KEY=key)  # when the one before is forgotten
    assert httpx2.get(f"{later.url}/api/conversations/", headers=cookie, trust_env=False).status_code == 200
    User.objects.update(sign_outs=1)
    assert httpx2.get(address, headers=cookie, trust_env=False).status_code == 401


@pytest.mark.parametrize("path", ["/ws/conversations/abc/", "/ws/x/", "/ws/me", "/ws/", "/", "/ws/me/%ff"])
def test_where_there_is_no_socket(live_web: Web, path: str) -> None:
    before = len(live_web.log)
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{live_web.url.replace('http', 'ws', 1)}{path}", origin=live_web.url, proxy=None)
    assert refused.value.response.status_code == 403
    assert "Traceback" not in live_web.log[before:]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer chat_nonsense"}, {"Cookie": "sessionid=nonsense"}])
def test_nobody_is_told_so(live_web: Web, owner: Person, headers: dict[str, str]) -> None:
    with Socket(live_web, owner.new_conversation(), headers=headers, origin=live_web.url) as tab:
        error = tab.refused()
        assert (error["code"], bool(error["request_id"])) == ("not_authenticated", True)
        with pytest.raises(ConnectionClosed) as closed:
            tab.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_who_is_closed_has_time_to_answer(live_web: Web, owner: Person) -> None:
    """A connection that is reset before may lose what was said last."""
    address = f"{live_web.url.replace('http', 'ws', 1)}/ws/conversations/{owner.new_conversation()}/"
    client = ClientProtocol(parse_uri(address), origin=Origin(live_web.url))
    with socket.create_connection(("127.0.0.1", live_web.port), timeout=PATIENCE) as connection:
        client.send_request(client.connect())
        connection.sendall(b"".join(client.data_to_send()))
        while client.close_rcvd is None:
            client.receive_data(connection.recv(65536))
        assert client.close_rcvd.code == 4401
        connection.settimeout(1.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(b"".join(client.data_to_send()))


def test_the_outsider_sees_and_changes_nothing(
    owner: Person, enter: Callable[..., Person], charlie: User, provider: ScriptedProvider
) -> None:
    outsider = enter(charlie)
    provider.enqueue(Script(text="One two", hold_after=1))
    conversation, own = owner.new_conversation(), outsider.new_conversation()
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Mine"}) as stream:
        message_id = stream.until(lambda seen: seen.text == "One").started["message"]["id"]
        for place in (conversation, str(uuid.uuid4())):
            with outsider.socket(place) as tab:
                assert tab.refused()["code"] == "not_found"
                with pytest.raises(ConnectionClosed) as closed:
                    tab.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4404
        with outsider.socket(own) as tab:
            tab.tell(type="follow", message_id=message_id, **{"from": 0})
            assert tab.refused()["code"] == "not_found"
            tab.tell(type="stop", message_id=message_id)
            assert tab.refused()["code"] == "not_found"
            tab.tell(type="send", content="x", parent=message_id)
            assert tab.refused()["code"] == "not_found"
        told = outsider.post(f"conversations/{own}/messages/", {"content": "x", "parent": message_id})
        assert (told.status_code, told.json()["error"]["code"]) == (404, "not_found")
        assert provider.bill.rows[0].outcome == "running"
        provider.release()
        assert stream.rest[-1]["message"]["content"] == "One two"


# What comes of one that is gone, or asks for more than can be done


def open_sockets(web: Web) -> float:
    """As many as the process counts."""
    figures = httpx2.get(f"{web.url}/metrics", trust_env=False).text
    return next(float(line.split()[1]) for line in figures.splitlines() if line.startswith("chat_sockets "))


@pytest.mark.only("scaled")
def test_a_tab_that_goes_is_seen_to_go_whatever_it_still_waits_for(owner: Person, live_web: Web) -> None:
    conversation = owner.new_conversation()
    with owner.socket(conversation) as tab, nobody_can_read(Message):
        deadline = time.monotonic() + PATIENCE
        while open_sockets(live_web) != 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(20):
            tab.tell(type="follow", message_id=str(uuid.uuid4()), **{"from": 0})
        tab.close()
        while open_sockets(live_web) != 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert open_sockets(live_web) == 0


@pytest.mark.only("scaled")
def test_who_sends_more_than_can_be_done_is_cut_off(owner: Person) -> None:
    conversation = owner.new_conversation()
    with owner.socket(conversation) as tab, nobody_can_read(Message):
        for _ in range(101):
            tab.tell(type="follow", message_id=str(uuid.uuid4()), **{"from": 0})
        assert tab.refused()["code"] == "rate_limited"
        with pytest.raises(ConnectionClosed) as closed:
            tab.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4429
    with owner.socket(conversation) as tab:
        tab.tell(type="follow", message_id=str(uuid.uuid4()), **{"from": 0})
        assert tab.refused()["code"] == "not_found"


def test_a_tab_that_can_be_told_nothing_any_more_is_closed(
    owner: Person, alice: User, prices: dict[str, Price]
) -> None:
    now = timezone.now()
    conversation, record = make_conversation(alice), make_call(alice, prices["gpt-4o-mini"], at=now, settled=False)
    lost = {"lease_owner": uuid.uuid4(), "lease_expires_at": now - timedelta(seconds=1)}
    reply = reply_of(conversation, record, status="generating", **lost)
    held = BudgetPeriod.objects.filter(budget__user=alice)
    amounts = dict(held.values_list("pk", "held"))
    held.update(held=0)  # books that are out of order, so that it cannot be ended
    with owner.socket(str(conversation.pk)) as tab:
        tab.tell(type="follow", message_id=str(reply.pk), **{"from": 0})
        assert tab.refused()["code"] == "server_error"
        Message.objects.filter(pk=reply.pk).update(lease_expires_at=now)  # whoever tried has claimed it
        assert tab.refused()["code"] == "server_error"  # it looks again by itself, and then hears nothing any more
        with pytest.raises(ConnectionClosed) as closed:
            tab.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4500
    for pk, amount in amounts.items():
        BudgetPeriod.objects.filter(pk=pk).update(held=amount)
    Message.objects.filter(pk=reply.pk).update(lease_expires_at=now)
    with owner.socket(str(conversation.pk)) as tab:
        tab.tell(type="follow", message_id=str(reply.pk), **{"from": 0})
        assert tab.ended(str(reply.pk)).last["message"]["status"] == "interrupted"


@pytest.mark.only("scaled")
def test_a_reply_that_began_before_the_tab_is_shown_also_where_the_database_was_away(
    owner: Person, start_web: Callable[..., Web], process_environment: dict[str, str], provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(text=TEXT, hold_after=20))
    conversation = owner.new_conversation()
    wire, url = wire_to_postgresql(process_environment["DATABASE_URL"])
    with wire, owner.socket(conversation) as first:
        first.tell(type="send", content="Hello")
        message_id = first.next()["message"]["id"]
        web = start_web(DATABASE_URL=url)
        with owner.at(web).socket(conversation) as late:
            late.tell(type="nonsense")
            assert late.refused()["code"] == "invalid_request"  # it listens
            wire.cut()
            provider.release()
            assert first.ended(message_id).text == TEXT  # and nothing more is heard of it
            time.sleep(8)  # longer than it waits before it asks for the reply, and then for the database
            wire.mend()
            assert late.ended(message_id).text == TEXT
