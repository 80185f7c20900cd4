"""Stop: by any door, from any tab and process; nothing runs on after it, and what was shown is kept and paid."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import User
from billing import money
from billing.models import BudgetPeriod, Price, UsageRecord
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Redis, Web

LONG = Script(delta_count=900, delay_between=0.01)


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def check_stopped(person: Person, conversation: str, provider: ScriptedProvider, shown: str) -> None:
    """The reply as it stands now, against what the provider sent and what a tab had shown."""
    reply = person.reply(conversation)
    row = provider.wait_idle().rows[-1]
    record = UsageRecord.objects.latest("pk")
    assert (reply["status"], record.state, record.outcome) == ("stopped", "settled", "stopped")
    assert row.outcome == "client_closed"
    assert row.client_closed_at is not None
    assert reply["content"].startswith(shown)
    assert row.text.startswith(reply["content"])
    assert 0 < row.deltas < 900
    assert reply["usage"]["estimated"] is True
    assert record.input_tokens == row.input_tokens
    assert record.output_tokens <= row.output_tokens <= record.output_tokens + 30  # what was on its way
    assert 0 < record.cost <= record.hold
    assert money.to_dollars(record.cost) <= row.cost
    assert not BudgetPeriod.objects.exclude(held=0).exists()
    call_command("audit_ledger", stdout=StringIO())


def test_stop_from_another_tab_by_every_door(owner: Person, provider: ScriptedProvider) -> None:
    provider.set_default(LONG)
    for stops in ("rest", "its own socket", "another socket"):
        conversation = owner.new_conversation()
        with owner.socket(conversation) as tab, owner.socket(conversation) as other:
            tab.tell(type="send", content="Hello")
            message_id = tab.next()["message"]["id"]
            tab.until(lambda event: event["type"] == "delta" and event["end"] > 40)
            if stops == "rest":
                answer = owner.stop(message_id)
                # It has answered, so the connection to the provider is closed by now, or about to be read as such.
                assert (answer.status_code, answer.json()["status"]) == (200, "stopped")
            else:
                (other if stops == "another socket" else tab).tell(type="stop", message_id=message_id)
            seen = [tab.ended(message_id), other.ended(message_id)]
            assert seen[0].text == seen[1].text == seen[0].last["message"]["content"]
            assert seen[0].last["message"] == owner.reply(conversation)
            assert seen[0].last["usage"]["estimated"] is True
            check_stopped(owner, conversation, provider, seen[0].text)


def test_stop_before_anything_has_come(owner: Person, provider: ScriptedProvider) -> None:
    for script in (Script(hold_after=0), Script(delay_headers=60)):
        provider.enqueue(script)
        conversation = owner.new_conversation()
        with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Hello"}) as stream:
            message_id = stream.until(lambda seen: seen.events).started["message"]["id"]
            requests = len(provider.requests)
            assert owner.stop(message_id).json()["status"] == "stopped"
            assert stream.rest[-1]["message"]["content"] == ""
        assert provider.wait_idle().rows[-1].outcome == "client_closed" or len(provider.requests) == requests
        record = UsageRecord.objects.latest("pk")
        assert (record.state, record.output_tokens) == ("settled", 0)
        assert record.cost > 0  # the provider may have begun: never billed zero for lack of a usage chunk


def test_stop_is_safe_to_repeat_and_does_nothing_afterwards(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    answer = owner.post(f"conversations/{conversation}/messages/", {"content": "Hello"}).json()["message"]
    assert owner.stop(answer["id"]).json() == answer
    assert owner.stop(answer["parent"]).status_code == 200
    assert owner.messages(conversation)[-1] == answer
    provider.enqueue(LONG)
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "More"}) as stream:
        message_id = stream.until(lambda seen: seen.text).started["message"]["id"]
        stopped = [owner.stop(message_id).json() for _ in range(3)]
        assert stopped == [owner.reply(conversation)] * 3
    with owner.socket(conversation) as tab:  # and the conversation goes on
        tab.tell(type="send", content="And then?")
        assert tab.ended(tab.next()["message"]["id"]).last["message"]["status"] == "complete"


def test_stop_from_another_process(
    start_web: Callable[..., Web], alice: User, prices: dict[str, Price], provider: ScriptedProvider, scaled: bool
) -> None:
    """Where there is Redis; without it there is one process, and this is Stop in it."""
    web = start_web()
    one = Person(web, alice)
    two = one.at(start_web() if scaled else web)
    provider.set_default(LONG)
    conversation = one.new_conversation()
    with one.socket(conversation) as tab, two.socket(conversation) as other:
        tab.tell(type="send", content="Hello")
        message_id = tab.next()["message"]["id"]
        other.until(lambda event: event["type"] == "delta" and event["end"] > 40)
        assert two.stop(message_id).json()["status"] == "stopped"
        seen = [tab.ended(message_id), other.ended(message_id)]
        assert seen[0].events == seen[1].events
        check_stopped(two, conversation, provider, seen[0].text)


@pytest.mark.once("scaled")
def test_stop_where_redis_is_away(
    process_environment: dict[str, str], transactional_db: None, provider: ScriptedProvider, alice: User,
    prices: dict[str, Price],
) -> None:  # fmt: skip
    """It can be told to nobody, but here nobody needs to be told: what this process writes it can end."""
    provider.set_default(LONG)
    patient = {**process_environment, "CHAT_LEASE_SECONDS": "300"}  # renewing would hear of the stop, too, but late
    with Redis() as redis, Web(1, {**patient, "REDIS_URL": redis.url}) as web:
        person = Person(web, alice)
        with person.socket(person.new_conversation()) as tab:
            tab.tell(type="send", content="Hello")
            message_id = tab.next()["message"]["id"]
            tab.until(lambda event: event["type"] == "delta")
            redis.kill()
            assert person.stop(message_id).status_code == 503  # it cannot be said yet with what text it has ended
            assert provider.wait_idle().rows[0].outcome == "client_closed"
            redis.start()
            assert tab.ended(message_id).last["message"]["status"] == "stopped"
