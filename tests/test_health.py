"""What operators ask: is it up, can it reach what it needs, what does it do."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from chatproject import stores
from tests.people import Person
from tests.services import PostgreSQL, Redis, Web
from tests.wire import wire_to_postgresql

PATIENCE = 20.0  # seconds; a connection pool waits for a while before it gives up


def get(web: Web, path: str) -> httpx2.Response:
    return httpx2.get(f"{web.url}{path}", timeout=PATIENCE, trust_env=False)


def test_up_and_ready(live_web: Web) -> None:
    assert (get(live_web, "/healthz").status_code, get(live_web, "/healthz").text) == (200, "ok\n")
    ready = get(live_web, "/readyz")
    assert (ready.status_code, ready.json()) == (200, {"database": True, "cache": True, "broker": True})
    refused = httpx2.post(f"{live_web.url}/readyz", timeout=PATIENCE, trust_env=False)
    assert refused.status_code in (403, 405)


def test_operators_ask_by_whatever_address_they_have(live_web: Web) -> None:
    def by(host: str, path: str, method: str = "GET") -> int:
        answer = httpx2.request(method, f"{live_web.url}{path}", headers={"Host": host}, trust_env=False)
        return answer.status_code

    for host in ("10.0.0.5", "10.0.0.5:8000", "web-1.internal", "a b", "evil.example"):
        assert [by(host, path) for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3, host
        assert by(host, "/readyz", "HEAD") == 200
        assert by(host, "/readyz", "POST") in (400, 403, 405)
        for path in ("/", "/healthz/", "/readyz/x", "/api/conversations/", "/accounts/login/", "/static/x"):
            assert by(host, path) in (400, 404), (host, path)


def test_metrics_count_and_name_nobody(live_web: Web, enter: Callable[..., Person], alice: object) -> None:
    person = enter(alice)
    conversation = person.new_conversation()
    before = get(live_web, "/metrics").text
    with person.socket(conversation) as tab:
        tab.tell(type="send", content="A secret question")
        tab.ended(tab.next()["message"]["id"])
        during = get(live_web, "/metrics")
    assert during.headers["Content-Type"].startswith("text/plain")
    name = 'chat_replies_total{status="complete"} '

    def figure(text: str) -> float:
        return next((float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)), 0.0)

    assert figure(during.text) == figure(before) + 1
    assert "chat_sockets 1.0" in during.text
    for secret in ("alice", conversation, "secret question", "sk-tests-only"):
        assert secret not in during.text


def test_not_ready_while_redis_is_away(process_environment: dict[str, str], transactional_db: None) -> None:
    with Redis() as redis, Web(1, {**process_environment, "REDIS_URL": redis.url}) as web:
        assert get(web, "/readyz").status_code == 200
        redis.kill()
        away = get(web, "/readyz")
        assert (away.status_code, away.json()) == (503, {"database": True, "cache": False, "broker": False})
        assert get(web, "/healthz").status_code == 200
        redis.start()
        assert get(web, "/readyz").status_code == 200


def test_not_ready_while_the_database_is_away(process_environment: dict[str, str]) -> None:
    with PostgreSQL() as postgresql:
        web = Web(1, {**process_environment, "DATABASE_URL": postgresql.url()})
        with web:
            assert get(web, "/readyz").json()["database"] is True
            postgresql.kill()
            away = get(web, "/readyz")
            assert (away.status_code, away.json()["database"]) == (503, False)
            assert get(web, "/healthz").status_code == 200


@pytest.mark.once("scaled")
def test_a_database_whose_host_vanishes_is_not_waited_for_for_ever(process_environment: dict[str, str]) -> None:
    with PostgreSQL() as postgresql:
        wire, url = wire_to_postgresql(postgresql.url())
        with wire, Web(1, {**process_environment, "DATABASE_URL": url}) as web:
            assert get(web, "/readyz").json()["database"] is True
            wire.fall_silent()
            away = httpx2.get(f"{web.url}/readyz", timeout=50, trust_env=False)  # the kernel's own patience: 900
            assert (away.status_code, away.json()["database"]) == (503, False)
            wire.speak()
            while not get(web, "/readyz").json()["database"]:
                pass


@pytest.mark.once("embedded")
def test_whoever_names_the_database_says_how_long_it_is_waited_for() -> None:
    options = stores.database("postgres://user@host/name?tcp_user_timeout=90000&keepalives=0", threads=1)["OPTIONS"]
    assert (options["tcp_user_timeout"], options["keepalives"]) == (90_000, 0)
    assert options["connect_timeout"] == 4
