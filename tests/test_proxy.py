"""nginx, as it is shipped, in front of the web processes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from accounts.models import User
from billing.models import Price
from deploy.cluster.proxy import Nginx
from deploy.local.run import free_port
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("scaled")


@pytest.fixture
def nginx(live_web: Web) -> Iterator[Nginx]:
    with Nginx(free_port(), [live_web.port]) as running:
        yield running
        print(running.log)


@pytest.fixture
def owner(nginx: Nginx, alice: User, prices: dict[str, Price]) -> Person:
    return Person(nginx, alice)


def test_an_event_stream_comes_as_it_is_written(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(deltas=("one ", "two ", "three"), hold_after=1))
    conversation = owner.new_conversation()
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Count."}) as stream:
        seen = stream.until(lambda seen: seen.text)
        assert seen.text == "one "  # the provider holds the rest: nothing on the way waits for it
        provider.release()
        assert stream.until(lambda seen: seen.ended, seen).text == "one two three"


def test_a_websocket_passes(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="Hello there"))
    with owner.socket(owner.new_conversation()) as tab:
        tab.tell(type="send", content="Hello", key="k")
        message_id = tab.next()["message"]["id"]
        assert tab.ended(message_id).text == "Hello there"


def test_another_origin_is_refused_through_it_too(
    owner: Person, session_cookie: Callable[[User], tuple[str, str]], alice: User
) -> None:
    other = Person(owner.web, alice, cookie=session_cookie(alice))
    with pytest.raises(InvalidStatus), other.socket(other.new_conversation(), origin="http://elsewhere.example"):
        pass


def test_a_body_over_the_limit_is_refused_in_our_form(owner: Person) -> None:
    limit = 1_048_576
    conversation = owner.new_conversation()
    response = owner.http.post(f"/api/conversations/{conversation}/messages/", content=b"x" * (limit + 1))
    error = response.json()["error"]
    assert response.status_code == 413
    assert error == {
        "code": "body_too_large", "message": "At most 1,048,576 bytes can be sent at once.", "limit": limit,
        "request_id": response.headers["X-Request-ID"],
    }  # fmt: skip
    largest = owner.http.post(
        f"/api/conversations/{conversation}/messages/",
        content=b'{"content": " "}' + b" " * (limit - 16),
        headers={"Content-Type": "application/json"},
    )
    assert largest.status_code == 400  # read, and found empty


def test_a_file_over_the_limit_is_refused_in_our_form(owner: Person, settings: Any) -> None:
    # Refused by its head: nobody waits for the rest.
    with socket.create_connection(("127.0.0.1", urlsplit(owner.web.url).port), timeout=10) as connection:
        connection.sendall(b"POST /api/imports/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 110000000\r\n")
        connection.sendall(b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    error = json.loads(body)["error"]
    assert head.split()[1] == "413"
    assert "Content-Type: application/json" in head
    assert f"X-Request-ID: {error.pop('request_id')}" in head
    limit = settings.UPLOAD_LIMITS["/api/imports/"]
    sentence = f"At most {limit:,} bytes can be sent at once."
    assert error == {"code": "body_too_large", "message": sentence, "limit": limit}


@pytest.mark.parametrize(
    ("path", "limit"), [("/send/", 1_048_576), ("/import/", 105_906_176), ("/reports/reconcile/", 34_603_008)]
)
def test_a_form_over_the_limit_is_refused_in_a_sentence(nginx: Nginx, path: str, limit: int) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {limit + 1}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "X-Request-ID: " in answer
    assert "That is more than this site takes at once." in answer


def test_a_client_cannot_choose_its_address(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    web = start_web(TRUSTED_PROXIES="1", CHAT_RATE_IP="3/h")
    with Nginx(free_port(), [web.port]) as nginx:
        owner = Person(nginx, alice)
        answers = [
            owner.post(
                f"conversations/{owner.new_conversation()}/messages/",
                {"content": "Hello"},
                headers={"X-Forwarded-For": f"203.0.113.{number}"},
            )
            for number in range(4)
        ]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert len(provider.bill.rows) == 3


def test_every_answer_names_its_request_and_a_client_cannot(owner: Person) -> None:
    response = owner.get("conversations/", headers={"X-Request-ID": "chosen-by-the-client"})
    request_id = response.headers["X-Request-ID"]
    assert request_id != "chosen-by-the-client"
    assert len(request_id) == 32
    assert owner.http.get("/api/nothing").json()["error"]["request_id"] != request_id


def test_figures_are_not_for_the_world(nginx: Nginx, live_web: Web) -> None:
    refused = httpx2.get(f"{nginx.url}/metrics", trust_env=False)
    assert (refused.status_code, len(refused.headers["X-Request-ID"])) == (403, 32)
    assert httpx2.get(f"{live_web.url}/metrics", trust_env=False).status_code == 200


def test_a_site_that_is_away_says_so_and_comes_back(start_web: Callable[..., Web], alice: User) -> None:
    web = start_web()
    with Nginx(free_port(), [web.port]) as nginx:
        owner = Person(nginx, alice)
        web.kill()
        refused = owner.get("conversations/")
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "2"
        assert refused.json()["error"]["code"] == "provider_unavailable"
        assert refused.json()["error"]["request_id"] == refused.headers["X-Request-ID"]
        away = owner.get("imports/")
        assert (away.status_code, away.json()["error"]["code"]) == (503, "provider_unavailable")
        assert "being restarted" in owner.http.get("/").text
        assert "being restarted" in owner.http.get("/import/").text
        web.start()
        assert owner.get("conversations/").status_code == 200


def test_a_request_goes_to_a_process_that_is_there(start_web: Callable[..., Web], alice: User) -> None:
    webs = [start_web(), start_web()]
    with Nginx(free_port(), [web.port for web in webs]) as nginx:
        owner = Person(nginx, alice)
        webs[0].kill()
        for _ in range(6):
            assert owner.new_conversation()
