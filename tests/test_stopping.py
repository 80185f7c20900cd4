"""Stop: before the first word, in the middle, after the end; what was shown is kept, and what was made is paid."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.errors import NotFound
from accounts.models import User
from billing.models import Price, UsageRecord
from conversations import leases, stopping
from conversations.models import Conversation, Delta, Message
from conversations.pool import in_database
from tests import road
from tests.provider import Row, Script, ScriptedProvider
from tests.provider import tokens as provider_tokens
from tests.provider.bill import cost
from tests.provider.client import only_row
from tests.talks import make_call, make_conversation, reply_of


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: Any
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    return make_conversation(alice)


async def stop(message: Message, user: User | None = None) -> Message:
    return await stopping.stop(
        user=user or await in_database(lambda: message.conversation.user), message_id=message.pk, now=timezone.now()
    )


def owed(row: Row, text: str) -> int:
    """What the provider bills for the prompt and for the text that was shown, in nano-dollars."""
    shown = cost(
        model=row.model, input_tokens=row.input_tokens, cached_input_tokens=row.cached_input_tokens,
        output_tokens=provider_tokens.count(text),
    )  # fmt: skip
    return int(shown * 1_000_000_000)


def settled(message: Message) -> UsageRecord:
    """The message's record, which must be settled by an estimate, as stopped, and in balance."""
    record = message.usage_record
    assert record is not None
    assert (record.state, record.outcome, record.measured) == ("settled", "stopped", "estimated")
    assert record.cost <= record.hold
    assert road.periods_of(record) == [(record.cost, 0)] * 3
    assert Delta.objects.count() == 0
    assert road.differences() == []
    return record


def test_in_mid_stream(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=900, delay_between=0.005, seed=5))

    async def scenario() -> tuple[Message, bool, list[Any]]:
        begun = await road.sent(road.ask(conversation))
        following = asyncio.create_task(road.told(begun.message))
        await road.billed(provider, lambda bill: bill.rows and bill.rows[0].deltas > 20)
        message = await stop(begun.message)
        closed = provider.bill.running == 0
        return message, closed, await following

    message, closed, events = road.run(scenario())

    row = only_row(provider)
    assert closed, "stop answers once the upstream is closed"
    assert row.outcome == "client_closed"
    assert row.deltas < 900
    assert message.status == "stopped"
    assert message.content
    assert row.text.startswith(message.content)
    assert road.text(events) == message.content, "what was shown is stored, and what is stored was shown"
    assert road.data(events[-1])["message"]["status"] == "stopped"
    record = settled(message)
    assert owed(row, message.content) <= record.cost
    assert record.output_tokens == provider_tokens.count(message.content)
    assert record.provider_request_id == row.request_id


def test_before_the_first_word(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=50, hold_after=0))

    async def scenario() -> Message:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        return await stop(begun.message)

    message = road.run(scenario())
    row = only_row(provider)
    assert (row.outcome, message.status, message.content) == ("client_closed", "stopped", "")
    record = settled(message)
    assert record.cost == road.nano(row) > 0


def test_before_the_provider_has_answered(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delay_headers=30))

    async def scenario() -> Message:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bool(bill.rows))
        return await stop(begun.message)

    message = road.run(scenario())
    assert (only_row(provider).outcome, message.status) == ("client_closed", "stopped")
    record = settled(message)
    assert record.input_tokens == record.input_bound, "it may have been read: it is paid for"


@pytest.mark.parametrize("there", [True, False])
def test_while_the_provider_has_nothing_to_work_on(
    conversation: Conversation, provider: ScriptedProvider, settings: Any, there: bool
) -> None:
    """It refused the call, or was not there, and the next try has not left yet: this costs nothing."""
    provider.enqueue(Script(status=503, retry_after="50"))
    if not there:
        settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"

    async def scenario() -> Message:
        begun = await road.sent(road.ask(conversation))
        if there:
            await road.billed(provider, lambda bill: bool(bill.rows) and not bill.running)
        await asyncio.sleep(0.2)  # the answer has come to this side
        return await stop(begun.message)

    message = road.run(scenario())
    record = message.usage_record
    assert record is not None
    assert (message.status, record.state, record.outcome, record.cost) == ("stopped", "released", "stopped", 0)
    assert len(provider.bill.rows) == there
    assert road.periods_of(record) == [(0, 0)] * 3
    assert road.differences() == []


def test_at_once(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.set_default(Script(delta_count=900, delay_between=0.005))

    async def scenario() -> Message:
        begun = await road.sent(road.ask(conversation))
        return await stop(begun.message)

    message = road.run(scenario())
    record = message.usage_record
    assert message.status == "stopped"
    assert record is not None
    rows = provider.wait_idle().rows
    if record.state == "released":
        assert rows == [], "it was stopped before it was sent"
    else:
        assert all(owed(row, message.content) <= settled(message).cost for row in rows)
    assert road.differences() == []


def test_after_the_end_changes_nothing(conversation: Conversation) -> None:
    message, _ = road.whole(road.ask(conversation))
    before = road.everything()
    again = road.run(stop(message))
    assert (again.status, again.content) == ("complete", message.content)
    assert road.everything() == before


def test_twice_at_once(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=900, delay_between=0.005))

    async def scenario() -> list[Message]:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.rows and bill.rows[0].deltas > 5)
        return await asyncio.gather(*(stop(begun.message) for _ in range(5)))

    messages = road.run(scenario())
    assert {message.status for message in messages} == {"stopped"}
    assert len({message.content for message in messages}) == 1
    settled(messages[0])


def test_another_s_reply_goes_on(conversation: Conversation, provider: ScriptedProvider, charlie: User) -> None:
    provider.enqueue(Script(delta_count=20, hold_after=10))

    async def scenario() -> Message:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        with pytest.raises(NotFound):
            await stop(begun.message, charlie)
        provider.release()
        await road.told(begun.message)
        return begun.message

    message = road.stored(road.run(scenario()))
    assert (message.status, message.stop_requested_at) == ("complete", None)
    assert message.content == only_row(provider).text


def test_the_conversation_is_free_afterwards(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=900, delay_between=0.005), Script(text="The next answer"))

    async def scenario() -> Any:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.rows and bill.rows[0].deltas > 5)
        await stop(begun.message)
        begun = await road.sent(road.ask(conversation, "And now?"))
        return await road.told(begun.message)

    assert road.text(road.run(scenario())) == "The next answer"


def test_a_stop_that_only_the_database_knows_of_is_obeyed(
    conversation: Conversation, provider: ScriptedProvider, settings: Any
) -> None:
    settings.CHAT_LEASE_SECONDS = 2  # looked at five times in this
    provider.enqueue(Script(delta_count=900, delay_between=0.01))

    async def scenario() -> Message:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.rows and bill.rows[0].deltas > 5)
        await in_database(Message.objects.filter(pk=begun.message.pk).update, stop_requested_at=timezone.now())
        await road.told(begun.message)
        return begun.message

    message = road.stored(road.run(scenario()))
    assert message.status == "stopped"
    assert only_row(provider).outcome == "client_closed"
    settled(message)


class Noted:
    """What an owner tells the writer of a reply."""

    def __init__(self) -> None:
        self.message_id = uuid.uuid4()
        self.told: list[str] = []

    def stop(self) -> None:
        self.told.append("stop")

    def lose(self) -> None:
        self.told.append("lose")


def test_a_stop_that_comes_before_the_writing_begins_is_not_forgotten(conversation: Conversation) -> None:
    early, other = Noted(), Noted()

    async def scenario() -> None:
        owner = leases.Owner()
        owner.stop(early.message_id)
        owner.add(early)
        owner.add(other)

    road.run(scenario())
    assert (early.told, other.told) == (["stop"], [])


def test_a_writer_whose_lease_is_gone_is_told(conversation: Conversation, settings: Any) -> None:
    settings.CHAT_LEASE_SECONDS = 1
    writer = Noted()  # no message in the database is leased to it

    async def told() -> bool:
        return bool(writer.told)

    async def scenario() -> None:
        leases.Owner().add(writer)
        await road.until(told)

    road.run(scenario())
    assert writer.told[0] == "lose"


def test_only_what_is_written_keeps_its_lease(
    conversation: Conversation, prices: dict[str, Price], settings: Any
) -> None:
    """A process that lives may hold a reply that it does not write: an error ended its writer, or a commit's answer
    was lost. That reply must run out, however long the others go on."""
    settings.CHAT_LEASE_SECONDS = 1
    now = timezone.now()
    record = make_call(conversation.user, prices["gpt-4o-mini"], at=now, settled=False)
    until = now + timedelta(seconds=30)
    writer = Noted()

    async def told() -> bool:
        return bool(writer.told)

    async def scenario() -> Message:
        owner = leases.Owner()
        reply = await in_database(
            reply_of, conversation, record, status="generating", lease_owner=owner.id, lease_expires_at=until
        )
        owner.add(writer)
        await road.until(told)  # it has renewed
        return reply

    assert road.stored(road.run(scenario())).lease_expires_at == until


def test_a_writer_that_begins_while_leases_are_renewed_is_not_told_that_it_has_none(
    conversation: Conversation, settings: Any
) -> None:
    settings.CHAT_LEASE_SECONDS = 1
    writer, begins = Noted(), Noted()

    async def told() -> bool:
        return bool(writer.told)

    async def scenario() -> list[str]:
        def clock() -> datetime:  # read for the statement, after it is known whose leases it renews
            owner.add(begins)
            return timezone.now()

        owner = leases.Owner(clock)
        owner.add(writer)
        await road.until(told)
        return list(begins.told)

    assert road.run(scenario()) == []
