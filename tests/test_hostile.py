"""What no honest client sends: never a fault of ours, and nothing changes."""

from __future__ import annotations

import base64
import json
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from accounts.errors import InvalidRequest
from accounts.models import User
from billing.models import ExportRun, UsageRecord
from billing.selection import Selection
from conversations.models import Conversation, Message
from tests.clients import signed_in
from tests.memory import Growth
from tests.people import Person
from tests.provider import ScriptedProvider
from tests.services import Web

BODIES = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of it": b'{"content": "x',
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "a word": b'"content"',
    "not UTF-8": b'{"content": "\xff\xfe"}',
    "deep lists": b'{"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"content":' * 50_000 + b"1" + b"}" * 50_000,
    "a long number": b'{"content": ' + b"9" * 10_000 + b"}",
    "not a number": b'{"content": NaN}',
    "half a surrogate pair": b'{"content": "\\ud800"}',
    "a NUL": b'{"content": "a\\u0000b"}',
    "a list as the text": b'{"content": ["a"]}',
    "an object as the text": b'{"content": {"a": 1}}',
    "true as the text": b'{"content": true}',
    "nothing as the text": b'{"content": null}',
    "a number as the parent": b'{"content": "x", "parent": 5}',
    "a word as the parent": b'{"content": "x", "parent": "the newest"}',
    "a list as the tier": b'{"content": "x", "tier": ["fast"]}',
    "a NUL in the tier": b'{"content": "x", "tier": "\\u0000"}',
}


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


@pytest.fixture
def conversation(owner: Person, provider: ScriptedProvider) -> Iterator[str]:
    """One that must stay as it is."""
    conversation = owner.new_conversation(title="Mine")
    before = Conversation.objects.values().get()
    yield conversation
    assert Conversation.objects.values().get() == before
    assert Message.objects.count() == UsageRecord.objects.count() == 0
    assert provider.requests == []


def refused(response: httpx2.Response, *statuses: int) -> dict[str, Any]:
    assert response.status_code in statuses, (response.status_code, response.text[:500])
    error: dict[str, Any] = response.json()["error"]
    assert error["request_id"]
    return error


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies(owner: Person, conversation: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for accept in ("application/json", "text/event-stream"):
        path = f"/api/conversations/{conversation}/messages/"
        error = refused(owner.http.post(path, content=body, headers={**headers, "Accept": accept}), 400)
        assert error["code"] == "invalid_request"
        assert error["fields"]
    with owner.socket(conversation) as tab:
        frame = b'{"type": "send", ' + body[1:] if body.startswith(b"{") else body
        tab.connection.send(frame, text=frame.isascii())
        error = tab.refused()
        assert error["code"] == "invalid_request"
        tab.tell(type="stop", message_id=conversation)  # the socket is still of use
        assert tab.refused()["code"] == "not_found"


@pytest.mark.parametrize("field", ["title", "system_prompt", "tier", "archived"])
@pytest.mark.parametrize("value", [None, [], {}, "\ud800", "\x00", "x" * 30_000], ids=lambda v: repr(v)[:12])
def test_fields_of_a_conversation(owner: Person, conversation: str, field: str, value: Any) -> None:
    options: Any = {"content": json.dumps({field: value}), "headers": {"Content-Type": "application/json"}}
    refused(owner.http.patch(f"/api/conversations/{conversation}/", **options), 400)
    refused(owner.http.post("/api/conversations/", **options), 400)


def test_a_body_too_large(owner: Person, conversation: str) -> None:
    path = f"/api/conversations/{conversation}/messages/"
    body = json.dumps({"content": "x" * 1_100_000}).encode()
    error = refused(owner.http.post(path, content=body, headers={"Content-Type": "application/json"}), 413)
    assert (error["code"], error["limit"]) == ("body_too_large", 1_048_576)
    with owner.socket(conversation) as tab:
        for character in "xü":  # the second takes two bytes
            tab.tell(type="send", content=character * (1_100_000 // len(character.encode())), key="k")
            error = tab.refused()
            assert (error["code"], error["limit"]) == ("body_too_large", 1_048_576)
        with suppress(ConnectionClosed):  # it may be closed before all of it is sent
            tab.connection.send(" " * 5_000_000)
        with pytest.raises(ConnectionClosed):  # what nobody sends by mistake is not even read
            tab.next()


@pytest.mark.parametrize("body", [{}, {"content": ""}, {"content": "x", "tier": "huge"}, []])
def test_what_is_another_s_is_not_found_whatever_is_wrong_with_the_body(
    owner: Person, conversation: str, enter: Callable[..., Person], bob: User, body: Any
) -> None:
    stranger = enter(bob)
    for path in (f"conversations/{conversation}/messages/", f"messages/{conversation}/regenerate/"):
        assert refused(stranger.post(path, body), 404)["code"] == "not_found"
        broken: Any = {"content": b"{", "headers": {"Content-Type": "application/json"}}
        assert refused(stranger.http.post(f"/api/{path}", **broken), 404)["code"] == "not_found"
    assert refused(owner.post(f"conversations/{conversation}/messages/", body), 400)["code"] == "invalid_request"


def test_a_body_that_does_not_say_how_long_it_is(owner: Person, conversation: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"content": "'
        for _ in range(20):
            yield b"x" * 100_000
        yield b'"}'

    path = f"/api/conversations/{conversation}/messages/"
    error = refused(owner.http.post(path, content=pieces(), headers={"Content-Type": "application/json"}), 400)
    assert list(error["fields"]) == ["Content-Length"]


def test_places_that_are_none(owner: Person, conversation: str) -> None:
    cursors = [
        b"p=garbage",
        b"p=\x00",
        b"p=9999999999999999999999",
        b"o=99999999999999999999",
        b"o=-1",
        b"r=1",
        b"\xff",
    ]
    texts = [base64.b64encode(cursor).decode() for cursor in cursors] + ["x", "%00", "é", "=" * 100]
    for path in ("conversations/", f"conversations/{conversation}/messages/"):
        for cursor in texts:
            response = owner.get(path, params={"cursor": cursor})
            if response.status_code != 200:
                refused(response, 400, 404)
    for query in ({"q": "\ud800".encode("utf-8", "surrogatepass")}, {"q": "%_\\'\""}):
        assert owner.http.get("/api/conversations/?" + urllib.parse.urlencode(query)).status_code == 200


def test_keys_that_are_none(owner: Person, conversation: str) -> None:
    path = f"conversations/{conversation}/messages/"
    for key in ("", "k" * 300):
        refused(owner.post(path, {"content": "Hello"}, headers={"Idempotency-Key": key}), 400)
    with owner.socket(conversation) as tab:
        for value in ("", 5, ["k"], {}, "k" * 300, "\ud800", "a\x00b"):
            tab.tell(type="send", content="Hello", key=value)
            assert tab.refused()["code"] == "invalid_request"


def test_frames(owner: Person, conversation: str) -> None:
    frames: list[Any] = [
        {}, {"type": None}, {"type": "dance"}, {"type": ["send"]}, {"type": "stop"}, {"type": "follow"},
        {"type": "stop", "message_id": 5}, {"type": "follow", "message_id": "x"}, {"type": "send"},
        {"type": "follow", "message_id": conversation, "from": -1},
        {"type": "follow", "message_id": conversation, "from": "0"},
        {"type": "follow", "message_id": conversation, "from": 2**40},
        {"type": "follow", "message_id": conversation, "from": True},
    ]  # fmt: skip
    with owner.socket(conversation) as tab:
        for frame in frames:
            tab.connection.send(json.dumps({**frame, "key": "this one"}))
            error = tab.refused()
            assert (error["code"], error["key"], bool(error["fields"])) == ("invalid_request", "this one", True), frame
        tab.tell(type="send", content="x", parent=conversation)
        assert tab.refused()["code"] == "not_found"
        for raw in (b"\x00\xff", b'{"type":"stop"}', b""):
            tab.connection.send(raw)
            assert tab.refused()["code"] == "invalid_request"
        for _ in range(100):
            tab.tell(type="follow", message_id=conversation, **{"from": 0})
        assert [tab.refused()["code"] for _ in range(100)] == ["not_found"] * 100


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nno header"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\ny"),
        ("multipart/form-data; boundary=" + "b" * 300, b"x"),
        ("application/x-www-form-urlencoded", b"%&=&%ff=%00"),
    ],
)
def test_forms_that_are_none(owner: Person, conversation: str, live_web: Web, kind: str, body: bytes) -> None:
    for path in ("imports/", "conversations/", f"conversations/{conversation}/messages/"):
        response = owner.http.post(f"/api/{path}", content=body, headers={"Content-Type": kind})
        refused(response, 400, 415)
    page = httpx2.post(f"{live_web.url}/accounts/login/", content=body, headers={"Content-Type": kind})
    assert (page.status_code, "<main" in page.text) == (403, True)  # without the form's own token
    assert owner.get("imports/").json()["results"] == []


def test_a_form_that_nobody_asked_for_is_not_taken_apart(start_web: Callable[..., Web]) -> None:
    """It would take many times its size, and the time of everybody whom this process serves."""
    web = start_web()
    body = b"a=1&" * 5_000_000
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    growth = Growth(web.pid)
    response = httpx2.post(f"{web.url}/api/imports/", content=body, headers=kind, timeout=60)
    refused(response, 401)
    assert growth.megabytes < 6 * len(body) / 1e6


def test_requests_that_are_hardly_http(live_web: Web, owner: Person, conversation: str) -> None:
    token = f"Authorization: {owner.headers['Authorization']}"
    heads = [
        f"GET /api/conversations/ HTTP/1.1\r\nHost: evil.example\r\n{token}\r\n\r\n",
        "GET /api/conversations/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        "GET /api/conversations/%00%ff/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET /api/conversations/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid=\xff; csrftoken=\"\r\n\r\n",
        "GET /c/x/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid=%00\r\n\r\n",
        'GET /usage/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid="not-a-key\\000"\r\n\r\n',
        (
            f"POST /api/conversations/{conversation}/messages/ HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}\r\nContent-"
            "Type: application/json\r\nContent-Length: 16\r\nIdempotency-Key: a\x00b\r\n\r\n{\"content\": \"x\"}"
        ),
        f"GET /api/messages/{conversation}/events/?from={'9' * 5000} HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}\r\n\r\n",
        f"GET /c/{conversation}/?before={'9' * 5000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ]  # fmt: skip
    for head in heads:
        with socket.create_connection(("127.0.0.1", live_web.port), timeout=10) as connection:
            connection.sendall(head.encode("latin-1"))
            status = connection.recv(4096).split(b" ", 2)[1]
            assert 200 <= int(status) < 500, (status, head)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/?q=", "/reports/?group=", "/api/reports/usage/?group=", "/admin/billing/price/?model=x"]
)
def test_a_nul_is_no_part_of_a_question(staff: User, path: str) -> None:
    client = signed_in(staff)
    assert client.get(path).status_code in (200, 302)
    assert client.get(f"{path}%00").status_code == 400
    run = client.post("/api/reports/runs/", {"group": "a\0b"}, content_type="application/json")
    assert (run.status_code, list(run.json()["error"]["fields"])) == (400, ["group"])


@pytest.mark.django_db
def test_half_a_character_is_no_part_of_a_question(finance: User) -> None:
    client = signed_in(finance)
    for body in (r'{"model": "\ud800"}', r'{"\udfff": "x"}', '{"model": NaN}'):
        run = client.post("/api/reports/runs/", body, content_type="application/json")
        assert (run.status_code, run.json()["error"]["code"]) == (400, "invalid_request"), body
    assert not ExportRun.objects.exists()
    assert client.get("/api/reports/runs/").status_code == client.get("/reports/").status_code == 200
    for text in ("\ud800", "a\0b"):  # whichever way it comes
        with pytest.raises(InvalidRequest) as refused:
            Selection.of_query({"model": text}, first=date(2026, 1, 1), last=date(2026, 1, 31))
        assert list(refused.value.details["fields"]) == ["model"]
