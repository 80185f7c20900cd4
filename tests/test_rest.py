"""The REST door over real sockets: every address answers in the shapes of the contract, to its owner alone."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from accounts.models import Token, User
from billing.models import UsageRecord
from tests.doors import DOORS
from tests.people import Person
from tests.provider import Script, ScriptedProvider

CONVERSATION = {
    "id", "title", "system_prompt", "tier", "archived", "pinned", "temporary", "created_at", "updated_at",
}  # fmt: skip
MESSAGE = {
    "id", "conversation", "parent", "role", "content", "html", "status", "finish_reason", "model", "created_at",
    "usage",
}  # fmt: skip
USAGE = {
    "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "cost_usd", "estimated",
    "model",
}  # fmt: skip
CONTEXT = {"prompt_tokens", "limit", "included_messages", "dropped_messages"}
BUDGET = {"remaining_usd", "limit_usd", "period", "resets_at"}
LIST = {"next", "previous", "results"}


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def send(person: Person, conversation: str, content: str = "Hello there", **headers: str) -> Any:
    return person.post(f"conversations/{conversation}/messages/", {"content": content}, headers=headers)


# Conversations


def test_a_conversation_is_made_read_changed_and_deleted(owner: Person) -> None:
    made = owner.post("conversations/", {"title": "Trip", "system_prompt": "Be brief.", "tier": "smart"})
    assert made.status_code == 201
    conversation = made.json()
    assert set(conversation) == CONVERSATION
    assert uuid.UUID(conversation["id"]).version == 7
    assert (conversation["title"], conversation["tier"], conversation["archived"]) == ("Trip", "smart", False)
    path = f"conversations/{conversation['id']}/"
    assert owner.get(path).json() == conversation
    changed = owner.http.patch(f"/api/{path}", json={"archived": True, "id": str(uuid.uuid4())})
    assert changed.status_code == 200
    assert changed.json() == {**conversation, "archived": True}
    assert owner.http.delete(f"/api/{path}").status_code == 204
    assert owner.get(path).status_code == 404


def test_every_field_of_a_conversation_has_a_default(owner: Person) -> None:
    made = owner.post("conversations/").json()
    assert (made["title"], made["system_prompt"], made["tier"], made["archived"]) == ("", "", "fast", False)


def test_conversations_are_listed_newest_first_and_searched(owner: Person, provider: ScriptedProvider) -> None:
    old, new = owner.new_conversation(title="Budget 2027"), owner.new_conversation(title="Trip")
    provider.set_default(Script(text="The capital is Lima."))
    assert send(owner, old).status_code == 201
    listed = owner.get("conversations/").json()
    assert set(listed) == LIST
    assert [row["id"] for row in listed["results"]] == [old, new]
    assert all(set(row) == CONVERSATION for row in listed["results"])
    for words, found in (("budget", [old]), ("LIMA", [old]), ("nowhere", [])):
        rows = owner.get("conversations/", params={"q": words}).json()["results"]
        assert [row["id"] for row in rows] == found, words
    assert owner.get("conversations/", params={"q": "\x00"}).status_code == 400, "no database takes it"
    owner.http.patch(f"/api/conversations/{old}/", json={"archived": True})
    assert [row["id"] for row in owner.get("conversations/").json()["results"]] == [new]
    archived = owner.get("conversations/", params={"archived": "true"}).json()["results"]
    assert [row["id"] for row in archived] == [old]


def test_a_long_list_comes_in_pages(owner: Person) -> None:
    made = [owner.new_conversation(title=str(number)) for number in range(52)]
    first = owner.get("conversations/").json()
    second = owner.http.get(first["next"]).json()
    assert first["previous"] is None
    assert second["next"] is None
    assert [row["id"] for row in first["results"] + second["results"]] == made[::-1]
    assert owner.http.get(second["previous"]).json()["results"] == first["results"]


# Messages


def test_an_answer_in_the_shapes_of_the_contract(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    provider.enqueue(Script(text="**One** two", cached_tokens=4, reasoning_tokens=3))
    response = send(owner, conversation)
    row = provider.wait_idle().rows[0]
    assert response.status_code == 201
    body = response.json()
    assert set(body) == {"message", "usage", "context", "budget"}
    assert set(body["message"]) == MESSAGE
    assert set(body["usage"]) == USAGE
    assert set(body["context"]) == CONTEXT
    assert set(body["budget"]) == BUDGET
    message = body["message"]
    assert (message["role"], message["status"], message["finish_reason"]) == ("assistant", "complete", "stop")
    assert (message["content"], message["model"], message["usage"]) == ("**One** two", "gpt-4o-mini", body["usage"])
    assert "<strong>One</strong>" in message["html"]
    assert body["usage"] == {
        "input_tokens": row.input_tokens, "cached_input_tokens": 4, "output_tokens": row.output_tokens,
        "reasoning_tokens": 3, "total_tokens": row.input_tokens + row.output_tokens,
        "cost_usd": f"{row.cost:f}", "estimated": False, "model": "gpt-4o-mini",
    }  # fmt: skip
    assert body["context"]["prompt_tokens"] == row.input_tokens
    assert body["context"]["included_messages"] == 1
    assert body["budget"]["period"] == "day"
    assert Decimal(body["budget"]["remaining_usd"]) == Decimal(body["budget"]["limit_usd"]) - row.cost


def test_the_branch_is_listed_oldest_first(owner: Person) -> None:
    conversation = owner.new_conversation()
    for number in range(26):
        assert send(owner, conversation, f"Question {number}").status_code == 201
    first = owner.get(f"conversations/{conversation}/messages/").json()
    second = owner.http.get(first["next"]).json()
    assert set(first) == LIST
    messages = first["results"] + second["results"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 26
    assert [message["content"] for message in messages[::2]] == [f"Question {number}" for number in range(26)]
    assert [message["parent"] for message in messages] == [None, *(message["id"] for message in messages[:-1])]
    assert all(set(message) == MESSAGE and message["conversation"] == conversation for message in messages)
    assert owner.get(f"conversations/{conversation}/").json()["title"] == "Question 0"


def test_a_message_can_follow_an_earlier_answer(owner: Person) -> None:
    conversation = owner.new_conversation()
    first = send(owner, conversation, "One").json()["message"]
    send(owner, conversation, "Two")
    path = f"conversations/{conversation}/messages/"
    assert owner.post(path, {"content": "Another two", "parent": first["id"]}).status_code == 201
    assert [message["content"] for message in owner.messages(conversation)[::2]] == ["One", "Another two"]
    assert owner.post(path, {"content": "Another one", "parent": None}).status_code == 201
    assert [message["content"] for message in owner.messages(conversation)[::2]] == ["Another one"]


def test_regenerating_keeps_the_question(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    first = send(owner, conversation).json()["message"]
    provider.enqueue(Script(text="Something else"))
    again = owner.post(f"messages/{first['id']}/regenerate/", {"tier": "smart"})
    assert again.status_code == 201
    question, answer = owner.messages(conversation)
    assert answer == again.json()["message"]
    assert (answer["content"], answer["model"]) == ("Something else", "gpt-4o")
    assert answer["parent"] == first["parent"] == question["id"]


@pytest.mark.parametrize("door", DOORS)
def test_the_same_key_never_makes_a_second_call(owner: Person, provider: ScriptedProvider, door: str) -> None:
    conversation = owner.new_conversation()
    with DOORS[door](owner, conversation) as first:
        answer = first.send("Hello there", key="k1")
    for again in DOORS:
        with DOORS[again](owner, conversation) as second:
            repeated = second.send("Hello there", key="k1")
            assert (repeated.message, repeated.usage, repeated.text) == (answer.message, answer.usage, answer.text)
            assert repeated.status in (200, 0)
            assert second.send("Hello", key="k1").code == "idempotency_conflict"
    assert len(provider.wait_idle().rows) == 1
    assert len(owner.messages(conversation)) == 2


def test_a_key_is_the_same_in_a_header_and_in_a_frame_whatever_its_letters(
    owner: Person, provider: ScriptedProvider
) -> None:
    conversation, key = owner.new_conversation(), "Schlüssel 🔑"
    headers: Any = {"Idempotency-Key": key.encode()}
    first = owner.post(f"conversations/{conversation}/messages/", {"content": "Hello"}, headers=headers)
    with owner.socket(conversation) as tab:
        tab.tell(type="send", content="Hello", key=key)
        started = tab.next()
    assert (first.status_code, started["key"]) == (201, key)
    assert started["message"]["id"] == first.json()["message"]["id"]
    assert len(provider.wait_idle().rows) == 1


def test_an_address_of_events_says_in_json_what_it_takes(owner: Person) -> None:
    answer = send(owner, owner.new_conversation()).json()["message"]
    said = owner.http.options(f"/api/messages/{answer['id']}/events/", headers={"Accept": "text/event-stream"})
    assert said.headers["Content-Type"] == "application/json"
    assert "text/event-stream" in said.json()["renders"]


def test_the_same_key_follows_a_reply_that_still_runs(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two three", hold_after=1))
    conversation = owner.new_conversation()
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Hello"},
                      headers={"Idempotency-Key": "k"}) as stream:  # fmt: skip
        stream.until(lambda seen: seen.text == "One")
        with owner.socket(conversation) as tab:
            tab.tell(type="send", content="Hello", key="k")
            tab.until(lambda event: event["type"] == "delta")
            provider.release()
            reply = owner.reply(conversation)["id"]
            assert tab.ended(reply).text == "One two three"
        assert "".join(event.get("content", "") for event in stream.rest) == " two three"
    assert len(provider.wait_idle().rows) == 1


def test_usage_and_budget_are_the_users_own(owner: Person, enter: Callable[..., Person], bob: User) -> None:
    cost = send(owner, owner.new_conversation()).json()["usage"]["cost_usd"]
    usage, budget = owner.get("usage/").json(), owner.get("budget/").json()
    assert (usage["today"]["calls"], usage["today"]["cost_usd"]) == (1, cost)
    assert usage["month"] == usage["today"]
    assert set(budget) == BUDGET | {"budgets"}
    assert Decimal(budget["limit_usd"]) - Decimal(budget["remaining_usd"]) == Decimal(cost)
    assert enter(bob).get("usage/").json()["today"]["calls"] == 0


def test_deleting_a_conversation_in_mid_reply_settles_it(owner: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two three", hold_after=1))
    conversation = owner.new_conversation()
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Hello"}) as stream:
        stream.until(lambda seen: seen.text == "One")
        assert owner.http.delete(f"/api/conversations/{conversation}/").status_code == 204
    assert provider.wait_idle().rows[0].outcome == "client_closed"
    record = UsageRecord.objects.get()
    assert (record.state, record.outcome) == ("settled", "stopped")
    assert owner.get(f"conversations/{conversation}/").status_code == 404


# Who asks


def test_a_session_reads_and_with_the_csrf_token_writes(
    enter: Callable[..., Person], alice: User, session_cookie: Callable[[User], tuple[str, str]]
) -> None:
    person = enter(alice, cookie=session_cookie(alice))
    conversation = person.new_conversation()
    assert send(person, conversation).status_code == 201
    del person.http.headers["X-CSRFToken"]
    refused = person.post("conversations/")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "not_authenticated"
    assert [row["id"] for row in person.get("conversations/").json()["results"]] == [conversation]


def test_a_token_works_until_it_is_revoked_or_its_user_inactive(owner: Person, alice: User) -> None:
    assert owner.get("conversations/").status_code == 200
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert owner.get("conversations/").status_code == 401
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert owner.get("conversations/").status_code == 200
    Token.objects.update(revoked_at=alice.joined_at)
    assert owner.get("conversations/").status_code == 401


def operations() -> list[tuple[str, str]]:
    """Every method and path of the API, by its own schema: one that is added is tested at once."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_nobody_and_the_outsider_get_nothing(
    owner: Person, enter: Callable[..., Person], charlie: User, provider: ScriptedProvider
) -> None:
    outsider = enter(charlie)
    conversation = owner.new_conversation(title="Mine")
    answer = send(owner, conversation).json()["message"]
    before = owner.get(f"conversations/{conversation}/").json(), owner.messages(conversation)
    found = operations()
    assert len(found) >= 12
    for method, path in found:
        ids = defaultdict(
            lambda: str(uuid.uuid4()), conversation_id=conversation, message_id=answer["id"], token_id="0"
        )
        address = path.format_map(ids)
        body = {"content": "x", "conversation": conversation}
        nobody = owner.http.request(method, address, json=body, headers={"Authorization": "Bearer chat_nonsense"})
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "not_authenticated"), (method, path)
        assert nobody.headers["WWW-Authenticate"] == "Bearer"
        if "{" not in path:
            continue
        other = outsider.http.request(method, address, json=body)
        assert (other.status_code, other.json()["error"]["code"]) == (404, "not_found"), (method, path)
        missing = path.format_map(defaultdict(lambda: str(uuid.uuid4())))
        unknown = owner.http.request(method, missing, json=body)
        assert {**unknown.json()["error"], "request_id": ""} == {**other.json()["error"], "request_id": ""}
    assert outsider.post("quote/", {"content": "x", "conversation": conversation}).status_code == 404
    assert (owner.get(f"conversations/{conversation}/").json(), owner.messages(conversation)) == before
    assert len(provider.wait_idle().rows) == 1
