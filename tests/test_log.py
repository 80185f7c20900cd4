"""A running reply's log: the same in each of its homes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import Price
from conversations import events, hints, log
from conversations.events import Event
from conversations.log import Delta, Home
from conversations.log.database import DatabaseHome
from conversations.log.redis import ORPHAN_SECONDS, RedisHome, client
from conversations.models import Message
from conversations.pool import in_database
from tests import road
from tests.talks import make_call, make_conversation, reply_of

HOMES: list[Callable[[], Home]] = [DatabaseHome, RedisHome] if os.environ.get("REDIS_URL") else [DatabaseHome]
PIECES = ["Hello", " wörld", "!\n", "👩‍👩‍👧", "\U0010ffff", "e\u0301", " end"]
TEXT = "".join(PIECES)
WRITER = UUID(int=1)


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest) -> Home:
    made: Home = request.param()
    return made


@pytest.fixture
def reply(transactional_db: None, alice: User, prices: dict[str, Price]) -> Message:
    """A reply that runs."""
    now = timezone.now()
    record = make_call(alice, prices["gpt-4o-mini"], at=now, settled=False)
    return reply_of(
        make_conversation(alice), record, status="generating", lease_owner=WRITER,
        lease_expires_at=now + timedelta(hours=1),
    )  # fmt: skip


def ended(reply: Message) -> None:
    Message.objects.filter(pk=reply.pk).update(status="complete", lease_owner=None, lease_expires_at=None)


def piece(start: int, content: str) -> Delta:
    return Delta(start=start, end=start + len(content), content=content)


async def written(home: Home, message_id: UUID, pieces: list[str] = PIECES) -> int:
    """An open log with these pieces in it; its end."""
    await home.open(message_id)
    end = 0
    for content in pieces:
        assert await home.append(message_id, piece(end, content), writer=WRITER)
        end += len(content)
    return end


def test_the_settings_say_where_logs_live() -> None:
    assert isinstance(log.home(), RedisHome if os.environ.get("REDIS_URL") else DatabaseHome)


def test_what_is_appended_is_read_from_any_offset(home: Home, reply: Message) -> None:
    async def scenario() -> list[Delta | None]:
        end = await written(home, reply.pk)
        assert end == len(TEXT)
        return [await home.read(reply.pk, start) for start in range(end + 3)]

    found = road.run(scenario())

    for start, rest in enumerate(found):
        expected = None if start >= len(TEXT) else Delta(start=start, end=len(TEXT), content=TEXT[start:])
        assert rest == expected, f"from {start}"


def test_an_empty_log_says_nothing_yet_and_an_unknown_one_nothing_at_all(home: Home, reply: Message) -> None:
    async def scenario() -> list[Delta | None]:
        await home.open(reply.pk)
        return [await home.read(reply.pk, 0), await home.read(reply.pk, 5), await home.read(UUID(int=7), 0)]

    assert road.run(scenario()) == [None, None, None]


def test_a_delta_that_does_not_begin_where_the_log_ends_is_refused(home: Home, reply: Message) -> None:
    async def scenario() -> Delta | None:
        await home.open(reply.pk)
        assert not await home.append(reply.pk, piece(1, "late"), writer=WRITER), "the log is still empty"
        assert await home.append(reply.pk, piece(0, "Hello"), writer=WRITER)
        for start in (0, 1, 4, 6, 50):
            assert not await home.append(reply.pk, piece(start, "other"), writer=WRITER), f"from {start}"
        assert await home.append(reply.pk, piece(5, " there"), writer=WRITER)
        return await home.read(reply.pk, 0)

    assert road.run(scenario()) == piece(0, "Hello there")


def test_whoever_listens_hears_of_what_was_appended_and_of_nothing_else(home: Home, reply: Message) -> None:
    def telling(delta: Delta) -> hints.Telling:
        return hints.Telling(reply.conversation_id, events.delta(reply.pk, delta))

    async def scenario() -> list[Event | None]:
        await home.open(reply.pk)
        async with hints.Feed(hints.group_of(reply.conversation_id)) as feed:
            for start in (0, 7, 5):  # the second is refused
                delta = piece(start, "Hello")
                await home.append(reply.pk, delta, writer=WRITER, telling=telling(delta))
            return [await feed.event(timeout=5), await feed.event(timeout=5), await feed.event(timeout=0.05)]

    first, second, third = road.run(scenario())
    assert (first, second, third) == (
        events.delta(reply.pk, piece(0, "Hello")),
        events.delta(reply.pk, piece(5, "Hello")),
        None,
    )


def test_whoever_listens_hears_that_a_log_was_opened_before_anything_is_in_it(home: Home, reply: Message) -> None:
    started = events.started(reply=reply, question=reply, hold=1)
    hello = piece(0, "Hello")

    async def scenario() -> list[Event | None]:
        async with hints.Feed(hints.group_of(reply.conversation_id)) as feed:
            await home.open(reply.pk, telling=hints.Telling(reply.conversation_id, started))
            told = hints.Telling(reply.conversation_id, events.delta(reply.pk, hello))
            await home.append(reply.pk, hello, writer=WRITER, telling=told)
            return [await feed.event(timeout=5), await feed.event(timeout=5)]

    assert road.run(scenario()) == [started, events.delta(reply.pk, hello)]


def test_opening_again_changes_nothing(home: Home, reply: Message) -> None:
    async def scenario() -> Delta | None:
        await written(home, reply.pk, ["Hello"])
        await home.open(reply.pk)
        assert await home.append(reply.pk, piece(5, "!"), writer=WRITER)
        return await home.read(reply.pk, 0)

    assert road.run(scenario()) == piece(0, "Hello!")


def test_a_closed_log_is_gone_and_takes_nothing_more(home: Home, reply: Message) -> None:
    async def scenario() -> None:
        end = await written(home, reply.pk)
        await in_database(ended, reply)
        await home.close(reply.pk)
        assert await home.read(reply.pk, 0) is None
        assert not await home.append(reply.pk, piece(end, "more"), writer=WRITER)
        assert not await home.append(reply.pk, piece(0, "anew"), writer=WRITER)
        await home.close(reply.pk)  # twice does no harm
        assert await home.read(reply.pk, 0) is None

    road.run(scenario())


def test_a_log_is_written_anew_unless_it_is_sealed(home: Home, reply: Message) -> None:
    async def scenario() -> None:
        end = await written(home, reply.pk)
        assert await home.rewrite(reply.pk, piece(0, TEXT + "more"), writer=WRITER)
        assert await home.append(reply.pk, piece(end + 4, "!"), writer=WRITER)
        assert await home.read(reply.pk, 1) == piece(1, TEXT[1:] + "more!")
        await home.close(reply.pk)  # it is forgotten
        assert await home.rewrite(reply.pk, piece(0, TEXT), writer=WRITER)
        assert await home.read(reply.pk, 0) == piece(0, TEXT)
        await in_database(Message.objects.filter(pk=reply.pk).update, lease_owner=UUID(int=9))
        await home.seal(reply.pk)
        assert not await home.rewrite(reply.pk, piece(0, "late"), writer=WRITER)
        assert await home.read(reply.pk, 0) == piece(0, TEXT)

    road.run(scenario())


def test_a_log_that_is_opened_after_its_reply_was_ended_takes_nothing(home: Home, reply: Message) -> None:
    """Its writer was so slow to begin that the lease ran out, and all was over when it came to the log."""

    async def scenario() -> None:
        await in_database(Message.objects.filter(pk=reply.pk).update, lease_owner=UUID(int=9))
        await home.seal(reply.pk)
        await in_database(ended, reply)
        await home.close(reply.pk)
        await home.open(reply.pk)
        assert not await home.append(reply.pk, piece(0, "late"), writer=WRITER)
        assert not await home.rewrite(reply.pk, piece(0, "late"), writer=WRITER)
        assert await home.read(reply.pk, 0) is None

    road.run(scenario())


@pytest.mark.only("scaled")
def test_more_may_write_and_read_at_once_than_there_are_connections() -> None:
    home = RedisHome()
    logs = [UUID(int=number + 100) for number in range(300)]

    async def scenario() -> list[Delta | None]:
        assert set(await asyncio.gather(*(written(home, one) for one in logs))) == {len(TEXT)}
        return await asyncio.gather(*(home.read(one, 0) for one in logs))

    assert road.run(scenario()) == [piece(0, TEXT)] * len(logs)


@pytest.mark.only("scaled")
@pytest.mark.parametrize("left", ["open", "written", "rewritten", "sealed", "never opened", "closed"])
def test_a_log_that_nobody_closes_goes_by_itself(reply: Message, left: str) -> None:
    home = RedisHome()

    async def scenario() -> int:
        if left == "open":
            await home.open(reply.pk)
        elif left != "never opened":
            await written(home, reply.pk)
        if left == "rewritten":
            assert await home.rewrite(reply.pk, piece(0, TEXT), writer=WRITER)
        if left in ("sealed", "never opened", "closed"):
            await home.seal(reply.pk)
        if left == "closed":
            await home.close(reply.pk)
        return int(await client().ttl(f"chat:log:{reply.pk}"))

    assert 0 < road.run(scenario()) <= ORPHAN_SECONDS


def test_logs_do_not_mix(home: Home, reply: Message, bob: User, prices: dict[str, Price]) -> None:
    record = make_call(bob, prices["gpt-4o"], at=timezone.now(), settled=False)
    other = reply_of(
        make_conversation(bob), record, status="generating", lease_owner=WRITER,
        lease_expires_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip

    async def scenario() -> list[Delta | None]:
        await written(home, reply.pk, ["mine"])
        await written(home, other.pk, ["theirs", "!"])
        await home.close(reply.pk)
        return [await home.read(reply.pk, 0), await home.read(other.pk, 0)]

    assert road.run(scenario()) == [None, piece(0, "theirs!")]


def test_of_writers_at_the_same_place_exactly_one_is_told_that_it_wrote(home: Home, reply: Message) -> None:
    async def scenario() -> tuple[list[list[bool]], Delta | None]:
        await home.open(reply.pk)
        rounds = [
            await asyncio.gather(
                *(home.append(reply.pk, piece(start, str(writer)), writer=WRITER) for writer in range(8))
            )
            for start in range(4)
        ]
        return rounds, await home.read(reply.pk, 0)

    rounds, read = road.run(scenario())

    assert [sum(wrote) for wrote in rounds] == [1, 1, 1, 1]
    assert read == piece(0, "".join(str(wrote.index(True)) for wrote in rounds))


def test_a_reader_beside_a_writer_sees_a_prefix_that_only_grows(home: Home, reply: Message) -> None:
    async def scenario() -> list[str]:
        await home.open(reply.pk)
        writing = asyncio.create_task(written(home, reply.pk, [f"{number} " for number in range(40)]))
        seen = [""]
        while not writing.done():
            rest = await home.read(reply.pk, len(seen[-1]))
            if rest is not None:
                assert rest.start == len(seen[-1])
                seen.append(seen[-1] + rest.content)
        await writing
        rest = await home.read(reply.pk, 0)
        assert rest is not None
        return [*seen, rest.content]

    *seen, text = road.run(scenario())

    assert text == "".join(f"{number} " for number in range(40))
    assert all(text.startswith(prefix) for prefix in seen)
    assert len(seen) > 2, "it read while the other wrote"


def test_the_database_takes_nothing_for_a_reply_that_has_ended(reply: Message) -> None:
    async def scenario() -> bool:
        await written(DatabaseHome(), reply.pk, ["Hello"])
        await in_database(ended, reply)
        return await DatabaseHome().append(reply.pk, piece(5, "!"), writer=WRITER)

    assert road.run(scenario()) is False


def test_a_sealed_log_is_read_on_but_takes_nothing_more(home: Home, reply: Message) -> None:
    successor = UUID(int=9)

    async def scenario() -> None:
        end = await written(home, reply.pk)
        await in_database(Message.objects.filter(pk=reply.pk).update, lease_owner=successor)
        await home.seal(reply.pk)
        assert not await home.append(reply.pk, piece(end, "late"), writer=WRITER)
        rest = await home.read(reply.pk, 3)
        assert rest == Delta(start=3, end=end, content=TEXT[3:])
        assert await home.read(reply.pk, end) is None
        await home.seal(reply.pk)  # twice does no harm
        assert not await home.append(reply.pk, piece(end, "late"), writer=WRITER)
        assert await home.read(reply.pk, 0) == piece(0, TEXT)

    road.run(scenario())


@pytest.mark.parametrize("opened", [True, False])
def test_a_log_that_was_sealed_while_it_was_empty_stays_so(home: Home, reply: Message, opened: bool) -> None:
    async def scenario() -> None:
        if opened:
            await home.open(reply.pk)
        await in_database(Message.objects.filter(pk=reply.pk).update, lease_owner=UUID(int=9))
        await home.seal(reply.pk)
        assert not await home.append(reply.pk, piece(0, "late"), writer=WRITER)
        assert not await home.rewrite(reply.pk, piece(0, "late"), writer=WRITER)
        assert await home.read(reply.pk, 0) is None

    road.run(scenario())
