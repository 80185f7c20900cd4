"""Replies whose process died: ended once, with the text that was shown, and settled."""

from __future__ import annotations

import asyncio
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.models import User
from billing.models import BudgetPeriod
from conversations import leases, log, pool, presence, recovery, settling, tasks
from conversations.following import Follower
from conversations.log import Delta
from conversations.models import Conversation, Message
from conversations.models import Delta as StoredDelta
from conversations.pool import in_database
from tests import road
from tests.provider import Script, ScriptedProvider
from tests.provider import tokens as provider_tokens
from tests.provider.client import only_row
from tests.talks import make_call, make_conversation, reply_of

OWNER = uuid.UUID(int=1)
SHOWN = ["Hello ", "wörld, ", "👩‍👩‍👧 and **on**"]
TEXT = "".join(SHOWN)


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: Any
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    return make_conversation(alice)


def running(conversation: Conversation, prices: dict[str, Any], *, lease: timedelta) -> Message:
    """A reply as a process leaves it that dies, its lease running out so long after now."""
    now = timezone.now()
    record = make_call(conversation.user, prices["gpt-4o-mini"], at=now, settled=False)
    return reply_of(conversation, record, status="generating", lease_owner=OWNER, lease_expires_at=now + lease)


@pytest.fixture
def abandoned(conversation: Conversation, prices: dict[str, Any]) -> Message:
    return running(conversation, prices, lease=timedelta(seconds=-1))


async def shown(reply: Message, pieces: list[str] = SHOWN) -> None:
    """What had been written, and therefore shown, before the process died."""
    await log.home().open(reply.pk)
    end = 0
    for content in pieces:
        piece = Delta(start=end, end=end + len(content), content=content)
        assert await log.home().append(reply.pk, piece, writer=OWNER)
        end = piece.end


def check_interrupted(reply: Message, text: str = TEXT) -> None:
    message = road.stored(reply)
    record = message.usage_record
    assert (message.status, message.content, message.lease_owner) == ("interrupted", text, None)
    assert record is not None
    assert (record.state, record.outcome, record.measured) == ("settled", "interrupted", "estimated")
    assert (record.input_tokens, record.output_tokens) == (record.input_bound, provider_tokens.count(text))
    assert record.cost > 0
    assert road.periods_of(record) == [(record.cost, 0)] * 3
    assert StoredDelta.objects.count() == 0
    assert road.differences() == []


def test_what_was_shown_is_kept_and_paid_for(abandoned: Message) -> None:
    async def scenario() -> tuple[int, int]:
        await shown(abandoned)
        now = timezone.now()
        return await recovery.recover_replies(now=now), await recovery.recover_replies(now=now + timedelta(days=1))

    assert road.run(scenario()) == (1, 0)
    check_interrupted(abandoned)
    assert "<strong>on</strong>" in road.stored(abandoned).html


@pytest.mark.parametrize("opened", [True, False])
def test_a_reply_that_had_shown_nothing(abandoned: Message, opened: bool) -> None:
    async def scenario() -> bool:
        if opened:
            await shown(abandoned, [])
        return await recovery.recover(abandoned.pk, now=timezone.now())

    assert road.run(scenario())
    check_interrupted(abandoned, "")


def test_beat_does_it(abandoned: Message) -> None:
    road.run(shown(abandoned))
    assert tasks.recover_replies() == 1
    check_interrupted(abandoned)


@pytest.mark.only("scaled")
def test_beat_leaves_no_connection_behind(conversation: Conversation, prices: dict[str, Any]) -> None:
    def connections() -> int:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            return int(client.info("clients")["connected_clients"])

    before = connections()
    for number in range(5):
        at = timezone.now()
        record = make_call(conversation.user, prices["gpt-4o-mini"], at=at, settled=False)
        own, past = make_conversation(conversation.user), at - timedelta(hours=1)
        reply_of(own, record, status="generating", lease_owner=OWNER, lease_expires_at=past)
        assert tasks.recover_replies() == 1, number
    assert connections() <= before


def test_one_that_cannot_be_ended_keeps_no_other_from_it(
    abandoned: Message, prices: dict[str, Any], bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    other = running(make_conversation(bob), prices, lease=timedelta(seconds=-1))
    BudgetPeriod.objects.filter(budget__user=abandoned.conversation.user).update(held=0)  # books that are out of order
    road.run(shown(other))
    assert road.run(recovery.recover_replies(now=timezone.now())) == 1
    assert road.stored(other).status == "interrupted"
    assert road.stored(abandoned).status == "generating"
    assert str(abandoned.pk) in caplog.text


def test_a_reply_whose_lease_still_runs_is_left_alone(conversation: Conversation, prices: dict[str, Any]) -> None:
    reply = running(conversation, prices, lease=timedelta(seconds=30))
    before = road.everything()

    async def scenario() -> tuple[int, bool]:
        return await recovery.recover_replies(now=timezone.now()), await recovery.recover(reply.pk, now=timezone.now())

    assert road.run(scenario()) == (0, False)
    assert road.everything() == before


def test_after_the_database_was_away_its_writer_comes_first(
    abandoned: Message, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_LEASE_SECONDS = 3
    monkeypatch.setattr(pool, "_away", pool._Away())  # so that the next test knows nothing of it

    def away() -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    async def ended() -> bool:
        return await recovery.recover(abandoned.pk, now=timezone.now())

    async def scenario() -> bool:
        await shown(abandoned)
        with pytest.raises(OperationalError):
            await in_database(away)
        early = await ended()
        await road.until(ended)
        return early

    assert road.run(scenario()) is False
    check_interrupted(abandoned)


def test_of_ten_at_once_exactly_one_ends_it(abandoned: Message) -> None:
    async def scenario() -> list[bool]:
        await shown(abandoned)
        now = timezone.now()
        return await asyncio.gather(*(recovery.recover(abandoned.pk, now=now) for _ in range(10)))

    assert sorted(road.run(scenario())) == [False] * 9 + [True]
    check_interrupted(abandoned)


def test_a_recoverer_that_dies_itself_is_followed_by_another(abandoned: Message) -> None:
    async def scenario() -> tuple[bool, bool]:
        await shown(abandoned)
        now = timezone.now()
        assert await in_database(recovery._claim, abandoned.pk, uuid.uuid4(), now)  # and no more is heard of it
        early = await recovery.recover(abandoned.pk, now=now)
        return early, await recovery.recover(abandoned.pk, now=now + timedelta(hours=1))

    assert road.run(scenario()) == (False, True)
    check_interrupted(abandoned)


@pytest.mark.only("scaled")
def test_an_owner_that_redis_does_not_see_is_not_waited_for(conversation: Conversation, prices: dict[str, Any]) -> None:
    reply = running(conversation, prices, lease=leases.overdue() - timedelta(seconds=1))

    async def gone() -> bool:
        return await presence.is_gone(OWNER)

    async def there() -> bool:
        return not await gone()

    async def scenario() -> tuple[bool, bool]:
        await shown(reply)
        showing = asyncio.create_task(presence.show(OWNER))
        await road.until(there)
        early = await recovery.recover(reply.pk, now=timezone.now())
        showing.cancel()
        await road.until(gone)
        return early, await recovery.recover(reply.pk, now=timezone.now())

    assert road.run(scenario()) == (False, True)
    check_interrupted(reply)


@pytest.mark.once("scaled")
def test_an_owner_that_is_only_cut_off_from_redis_is_waited_for(
    conversation: Conversation, prices: dict[str, Any]
) -> None:
    reply = running(conversation, prices, lease=leases.overdue() + timedelta(seconds=5))
    assert road.run(recovery.recover(reply.pk, now=timezone.now())) is False


def test_the_next_reader_ends_it_and_sees_all(abandoned: Message) -> None:
    async def scenario() -> list[Any]:
        await shown(abandoned)
        return await road.told(abandoned)

    found = road.run(scenario())
    assert road.text(found) == TEXT
    assert [event.kind for event in found if event.kind != "delta"] == ["warning", "done"]
    assert road.data(found[-2])["code"] == "interrupted"
    check_interrupted(abandoned)


def test_who_has_seen_a_part_sees_the_rest_and_the_end(conversation: Conversation, prices: dict[str, Any]) -> None:
    reply = running(conversation, prices, lease=timedelta(seconds=30))

    async def scenario() -> list[Any]:
        await shown(reply, SHOWN[:1])
        follower = Follower(reply.pk, 0, clock=lambda: timezone.now() + timedelta(hours=1))
        first = Follower(reply.pk, 0)
        found = await first.catch_up()
        assert (road.text(found), first.finished) == (SHOWN[0], False)
        return await follower.catch_up()  # to its clock, the lease has run out

    found = road.run(scenario())
    assert road.text(found) == SHOWN[0]
    assert found[-1].kind == "done"
    check_interrupted(reply, SHOWN[0])


def test_an_owner_that_was_only_stalled_writes_nothing_more(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(delta_count=400, hold_after=10, delay_between=0.005))

    async def scenario() -> tuple[Any, dict[str, Any], list[Any]]:
        begun = await road.sent(road.ask(conversation))
        following = asyncio.create_task(road.told(begun.message))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        await asyncio.sleep(0.2)  # what has come is in the log
        assert await recovery.recover(begun.message.pk, now=timezone.now() + timedelta(hours=1))
        before = await in_database(road.everything)
        provider.release()  # the stalled owner goes on
        await road.billed(provider, lambda bill: bill.running == 0)
        return begun, before, await following

    begun, before, found = road.run(scenario())

    assert road.everything() == before
    row = only_row(provider)
    assert row.outcome == "client_closed", "it hears of it at its next word and hangs up"
    message = road.stored(begun.message)
    assert message.status == "interrupted"
    assert message.content
    assert row.text.startswith(message.content)
    assert road.text(found) == message.content
    check_interrupted(begun.message, message.content)
    again, _ = road.whole(road.ask(conversation, "And now?"))
    assert again.status == "complete"


def test_an_owner_that_ends_too_late_changes_nothing(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=10, hold_after=10))

    async def scenario() -> tuple[Any, dict[str, Any]]:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        await asyncio.sleep(0.2)
        assert await recovery.recover(begun.message.pk, now=timezone.now() + timedelta(hours=1))
        before = await in_database(road.everything)
        provider.release()  # only the end is missing
        await road.billed(provider, lambda bill: bill.running == 0)
        return begun, before

    _, before = road.run(scenario())
    assert road.everything() == before
    assert road.differences() == []


def test_who_has_lost_the_lease_ends_nothing(abandoned: Message) -> None:
    now = timezone.now()
    assert recovery._claim(abandoned.pk, uuid.uuid4(), now)
    before = road.everything()
    ending = settling.Ending(status="complete", text="all that the stalled owner had")
    assert settling.end(message=abandoned, owner=OWNER, ending=ending, now=now) is None
    assert road.everything() == before


def test_a_reply_that_runs_long_keeps_its_lease(
    conversation: Conversation, provider: ScriptedProvider, settings: Any
) -> None:
    settings.CHAT_LEASE_SECONDS = 1
    provider.enqueue(Script(delta_count=20, stall_after=10, stall_seconds=2))

    async def scenario() -> tuple[Any, int]:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        await asyncio.sleep(1.5)
        ended = await recovery.recover_replies(now=timezone.now())
        await road.told(begun.message)
        return begun, ended

    begun, ended = road.run(scenario())
    assert ended == 0
    assert road.stored(begun.message).status == "complete"


def test_a_lease_is_renewed_past_all_that_waits_for_the_database(
    conversation: Conversation, provider: ScriptedProvider, settings: Any
) -> None:
    settings.CHAT_LEASE_SECONDS = 1
    provider.enqueue(Script(delta_count=20, hold_after=10))

    def expires_at(message: Message) -> Any:
        try:
            return road.stored(message).lease_expires_at
        finally:
            connection.close()

    async def scenario() -> tuple[Any, Any]:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        gate = threading.Event()
        slow = [asyncio.create_task(in_database(gate.wait)) for _ in range(settings.CHAT_DATABASE_THREADS * 2)]
        try:
            await asyncio.sleep(1.5)
            now = timezone.now()
            found = await asyncio.to_thread(expires_at, begun.message)
        finally:
            gate.set()
            await asyncio.gather(*slow)
        provider.release()
        await road.told(begun.message)
        return found, now

    found, now = road.run(scenario())
    assert found > now
