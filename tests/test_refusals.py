"""Every door says no in the same words, and a refusal changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from django.utils import timezone

from accounts.models import User
from billing import enforcement, limiting, money
from billing.models import BudgetPeriod, Price, UsageRecord
from conversations.models import Message
from tests.doors import DOORS, Door
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("embedded")

TABLES = (Message, UsageRecord)


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, owner: Person) -> Iterator[Door]:
    with DOORS[request.param](owner, owner.new_conversation()) as door:
        yield door


def check(response: httpx2.Response, status: int, code: str, **details: Any) -> dict[str, Any]:
    """The envelope of the contract; gives the error."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == code
    assert error["message"][0].isupper()
    assert error["message"].endswith(".")
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert error == {**error, **details}
    return error


def nothing_left(provider: ScriptedProvider) -> None:
    """No message, no record, no hold, no request to the provider."""
    assert [table.objects.count() for table in TABLES] == [0, 0]
    assert not BudgetPeriod.objects.exclude(held=0, spent=0).exists()
    assert provider.requests == []


# By any door, before anything is written


def test_budget_exhausted(door: Door, alice: User, provider: ScriptedProvider) -> None:
    limiting.set_limit(user=alice, period="day", limit=1000)
    outcome = door.send("Hello there")
    assert (outcome.code, outcome.status) in (("budget_exhausted", 402), ("budget_exhausted", 0))
    assert set(outcome.error) == {"code", "message", "request_id", "budget", "remaining_usd", "resets_at"}
    assert (outcome.error["budget"], outcome.error["remaining_usd"]) == ("user_day", "0.000001")
    assert "Nothing was charged." in outcome.error["message"]
    nothing_left(provider)


def test_account_disabled(door: Door, alice: User, provider: ScriptedProvider) -> None:
    now = timezone.now()
    until = now + timedelta(hours=1)
    enforcement.disable(users=[alice], by="staff", reason="Asked to pause.", until=until, now=now)
    outcome = door.send("Hello there")
    assert (outcome.code, outcome.status) in (("account_disabled", 403), ("account_disabled", 0))
    assert set(outcome.error) == {"code", "message", "request_id", "reason", "until"}
    assert (outcome.error["reason"], outcome.error["until"]) == ("Asked to pause.", until.isoformat())
    assert door.person.get("conversations/").status_code == 200
    nothing_left(provider)


def test_message_too_long(door: Door, provider: ScriptedProvider) -> None:
    outcome = door.send("word " * 5000)
    assert (outcome.code, outcome.status) in (("message_too_long", 400), ("message_too_long", 0))
    assert outcome.error["limit"] == 4000
    assert outcome.error["token_count"] > 5000
    nothing_left(provider)


@pytest.mark.parametrize("content", ["", " \n\t", "a\x00b"])
def test_a_message_that_cannot_be(door: Door, provider: ScriptedProvider, content: str) -> None:
    outcome = door.send(content)
    assert (outcome.code, outcome.status) in (("invalid_request", 400), ("invalid_request", 0))
    assert list(outcome.error["fields"]) == ["content"]
    nothing_left(provider)


def test_a_tier_or_a_key_that_cannot_be(door: Door, provider: ScriptedProvider) -> None:
    assert list(door.send("Hello", tier="clever").error["fields"]) == ["tier"]
    assert list(door.send("Hello", key="k" * 256).error["fields"]) == ["key"]
    nothing_left(provider)


def test_one_reply_a_conversation(door: Door, owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two", hold_after=1))
    with owner.stream("POST", door.path, json={"content": "First"}) as stream:
        running = stream.until(lambda seen: seen.text == "One").started["message"]["id"]
        outcome = door.send("Second")
        assert (outcome.code, outcome.status) in (("reply_in_progress", 409), ("reply_in_progress", 0))
        assert outcome.error["message_id"] == running
        provider.release()
        assert stream.rest[-1]["type"] == "done"
    assert Message.objects.count() == 2
    assert len(provider.wait_idle().rows) == 1


# What the provider says


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (Script(status=400, error_code="content_policy_violation"), 400, "provider_rejected"),
        (Script(status=422), 400, "provider_rejected"),
        (Script(status=404), 503, "provider_unavailable"),
        (Script(status=401), 503, "provider_unavailable"),
        (Script(status=403), 503, "provider_unavailable"),
        (Script(status=429, retry_after="200"), 429, "provider_busy"),
        (Script(status=500, retry_after="200"), 502, "provider_error"),
        (Script(status=408, retry_after="200"), 504, "provider_timeout"),
        (Script(html=True), 502, "provider_error"),
        (Script(text="One two", error_event_after=1), 502, "provider_error"),
        (Script(text="One two", broken_json_after=2), 502, "provider_error"),
        (Script(text="One two", cut_after=1), 502, "provider_error"),
        (Script(text="One two", finish=False, done=False), 502, "provider_error"),
        (Script(cut_after=-1), 503, "provider_unavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_providers_errors_by_every_door(
    owner: Person, provider: ScriptedProvider, script: Script, status: int, code: str
) -> None:
    provider.set_default(script)
    for name, kind in DOORS.items():
        with kind(owner, owner.new_conversation()) as door:
            outcome = door.send("Hello there", key="k")
            assert outcome.code == code, name
            assert outcome.status == {"json": status, "stream": 200, "socket": 0}[name]
            assert len(outcome.error["request_id"]) > 8
            if code == "provider_busy":
                assert outcome.error["retry_after"] == 200
            repeated = door.send("Hello there", key="k")
            assert (repeated.code, repeated.error) == (code, outcome.error)
    rows = provider.wait_idle().rows
    assert len(rows) == 3
    records = UsageRecord.objects.order_by("pk")
    for row, record in zip(rows, records, strict=True):
        assert record.state == ("settled" if row.cost or script.cut_after == -1 or script.html else "released")
        assert money.to_dollars(record.cost) >= row.cost
    assert not BudgetPeriod.objects.exclude(held=0).exists()


def test_a_busy_provider_says_when_in_a_header_too(owner: Person, provider: ScriptedProvider) -> None:
    provider.set_default(Script(status=429, retry_after="200"))
    response = owner.post(f"conversations/{owner.new_conversation()}/messages/", {"content": "Hello"})
    check(response, 429, "provider_busy", retry_after=200)
    assert response.headers["Retry-After"] == "200"


def test_a_silent_provider_is_a_timeout_and_what_came_stays(
    start_web: Callable[..., Web], alice: User, prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    owner = Person(start_web(CHAT_PROVIDER_TIMEOUT="0.4"), alice)
    provider.set_default(Script(text="One two", stall_after=1))
    conversation = owner.new_conversation()
    for name, kind in DOORS.items():
        with kind(owner, conversation) as door:
            outcome = door.send("Hello there")
            assert outcome.code == "provider_timeout"
            assert outcome.status == {"json": 504, "stream": 200, "socket": 0}[name]
            assert (owner.reply(conversation)["status"], owner.reply(conversation)["content"]) == ("failed", "One")
    assert all(row.outcome == "client_closed" for row in provider.wait_idle().rows)


def test_a_provider_that_cannot_be_reached(
    start_web: Callable[..., Web], alice: User, prices: dict[str, Price]
) -> None:
    owner = Person(start_web(OPENAI_BASE_URL="http://127.0.0.1:9/v1", CHAT_PROVIDER_RETRIES="0"), alice)
    response = owner.post(f"conversations/{owner.new_conversation()}/messages/", {"content": "Hello"})
    check(response, 503, "provider_unavailable")
    assert UsageRecord.objects.get().state == "released"


# By REST


def test_addresses_and_methods_that_are_not_there(owner: Person) -> None:
    for method in ("GET", "POST", "PATCH", "DELETE"):
        for path in ("nowhere/", "conversations/1/", "messages/x/stop/", f"messages/{uuid.uuid4()}/nowhere/"):
            check(owner.http.request(method, f"/api/{path}"), 404, "not_found")
    check(owner.http.get(f"/api/messages/{uuid.uuid4()}/"), 404, "not_found")
    refused = owner.http.put("/api/conversations/", json={})
    check(refused, 405, "invalid_request")
    assert refused.headers["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert owner.http.options("/api/conversations/").status_code == 200
    assert owner.http.head("/api/conversations/").status_code == 200


def test_a_form_and_a_picture_are_not_taken(owner: Person) -> None:
    check(owner.http.post("/api/conversations/", data={"title": "x"}), 415, "invalid_request")
    check(owner.http.get("/api/conversations/", headers={"Accept": "image/png"}), 406, "invalid_request")


def test_too_often(start_web: Callable[..., Web], alice: User, bob: User, prices: dict[str, Price]) -> None:
    web = start_web(CHAT_RATE="3/h", CHAT_RATE_SMART="1/h", CHAT_RATE_IP="5/h")
    owner, other = Person(web, alice), Person(web, bob)
    conversation = owner.new_conversation()

    def send(person: Person, place: str, **fields: Any) -> httpx2.Response:
        return person.post(f"conversations/{place}/messages/", {"content": "Hello", **fields})

    first = send(owner, conversation, tier="smart")
    assert first.status_code == 201
    assert (first.headers["RateLimit-Limit"], first.headers["RateLimit-Remaining"]) == ("1", "0")
    assert 0 < int(first.headers["RateLimit-Reset"]) <= 3600
    assert "Retry-After" not in first.headers
    refused = send(owner, conversation, tier="smart")
    error = check(refused, 429, "rate_limited", retry_after=int(refused.headers["Retry-After"]))
    assert 0 < error["retry_after"] <= 3600
    assert (refused.headers["RateLimit-Limit"], refused.headers["RateLimit-Remaining"]) == ("1", "0")
    assert refused.headers["RateLimit-Reset"] == refused.headers["Retry-After"]
    with DOORS["socket"](owner, conversation) as door:
        assert door.send("Hello").code == "complete"  # the refusal used up nothing of the others
        assert door.send("Hello", tier="smart").code == "rate_limited"
    with DOORS["stream"](owner, conversation) as door:
        assert door.send("Hello").code == "complete"
        limited = door.send("Hello")
        assert (limited.code, limited.status) == ("rate_limited", 429)
    place = other.new_conversation()
    tightest = send(other, place).headers  # by user two are left, by address one
    assert (tightest["RateLimit-Limit"], tightest["RateLimit-Remaining"]) == ("5", "1")
    assert send(other, place).status_code == 201
    by_address = send(other, place)
    assert by_address.headers["RateLimit-Limit"] == "5"
    check(by_address, 429, "rate_limited")
    assert Message.objects.count() == 10


def test_too_many_at_once(
    start_web: Callable[..., Web], alice: User, prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    owner = Person(start_web(CHAT_REPLIES_AT_ONCE="1"), alice)
    provider.enqueue(Script(text="One two", hold_after=1))
    with owner.stream("POST", f"conversations/{owner.new_conversation()}/messages/", json={"content": "1"}) as stream:
        stream.until(lambda seen: seen.text == "One")
        for kind in DOORS.values():
            with kind(owner, owner.new_conversation()) as door:
                outcome = door.send("2")
                assert (outcome.code, outcome.error["retry_after"]) == ("rate_limited", 5)
        provider.release()
        assert stream.rest[-1]["type"] == "done"
    with DOORS["json"](owner, owner.new_conversation()) as door:
        assert door.send("2").code == "complete"


def test_the_smallest_useful_answer_is_given_less_room(owner: Person, alice: User, provider: ScriptedProvider) -> None:
    limiting.set_limit(user=alice, period="day", limit=100_000)  # room for some 150 output tokens of 1000
    provider.set_default(Script(delta_count=500))
    conversation = owner.new_conversation()
    with DOORS["stream"](owner, conversation) as door:
        outcome = door.send("Hello there")
    assert (outcome.code, outcome.message["finish_reason"]) == ("complete", "length")
    assert Decimal(outcome.usage["cost_usd"]) <= Decimal("0.0001")
    assert provider.requests[0].body["max_tokens"] == outcome.usage["output_tokens"] < 500
