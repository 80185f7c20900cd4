"""The channel layer when Redis is gone: without a word, for a moment, or just when somebody comes or leaves."""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from channels.layers import get_channel_layer
from redis.asyncio import Redis as Client

from accounts.models import User
from chatproject import stores
from conversations import hints, presence, redis_layer
from conversations.hints import Feed
from tests import road
from tests.people import Person
from tests.services import Redis, Web
from tests.test_hints import GROUP, left_behind
from tests.wire import Wire

pytestmark = [pytest.mark.once("scaled"), pytest.mark.timeout(60)]

# So that the kernel gives a connection up within some two seconds rather than forty-five.
SOON = {socket.TCP_KEEPIDLE: 1, socket.TCP_KEEPINTVL: 1, socket.TCP_KEEPCNT: 1}


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with Redis() as running:
        yield running


@pytest.fixture
def wire(redis: Redis, settings: Any) -> Iterator[Wire]:
    """The channel layer as the product has it, with a wire to its Redis."""
    with Wire(redis.port) as wire:
        url = f"redis://127.0.0.1:{wire.port}/0"
        settings.CHANNEL_LAYERS = stores.cache_and_layer(url)[1]
        yield wire


async def heard_again(feed: Feed) -> None:
    """Wait until a hint comes that is told now."""
    while await feed.receive(timeout=0.1) is None:
        await hints.announce(GROUP, {})


@pytest.mark.parametrize("kernel", ["says so", "is silent too"])
def test_a_redis_that_vanishes_stops_nobody_and_is_found_again(wire: Wire, kernel: str, settings: Any) -> None:
    if kernel == "says so":
        config = settings.CHANNEL_LAYERS["default"]["CONFIG"]
        config["hosts"] = [{"address": config["hosts"][0], "socket_keepalive_options": SOON}]

    async def scenario() -> None:
        async with Feed(GROUP) as feed:
            await heard_again(feed)
            wire.fall_silent()
            await asyncio.sleep(4)  # the event loop goes on meanwhile, or this would not end
            wire.speak()
            await heard_again(feed)

    road.run(scenario())


def test_what_is_told_at_the_same_time_goes_together_and_in_its_order(wire: Wire) -> None:
    async def scenario() -> list[Any]:
        async with Feed(GROUP) as feed:
            await heard_again(feed)
            telling = [asyncio.create_task(hints.announce(GROUP, {"n": number})) for number in range(200)]
            await asyncio.sleep(0)
            for task in telling[::2]:
                task.cancel()  # whoever told has gone; what they said, and what others say, is told all the same
            await asyncio.wait(telling)
            heard: list[Any] = []
            while len(heard) < 200:
                hint = await feed.receive(timeout=5)
                assert hint is not None, f"only {len(heard)} were heard"
                heard += [hint["n"]] if "n" in hint else []
            return heard

    assert road.run(scenario()) == list(range(200))


def test_every_feed_is_told_that_it_may_have_missed_something(wire: Wire, redis: Redis) -> None:
    async def scenario() -> list[Any]:
        async with Feed(GROUP) as one, Feed(GROUP) as two, Feed("conversation.other") as other:
            await heard_again(one)
            redis.kill()
            redis.start()
            for feed in (one, two, other):
                while await feed.receive() is not None:  # with no limit: None is a gap and not a silence
                    pass
            await heard_again(one)
            return [await feed.receive(timeout=1) for feed in (two, other)]

    assert road.run(scenario()) == [{"type": "hint"}, None]


@pytest.mark.parametrize("how", ["gives up", "is refused"])
def test_who_does_not_get_in_leaves_nothing_behind(wire: Wire, how: str) -> None:
    async def enter() -> None:
        async with Feed(GROUP):
            raise AssertionError("nobody can listen")

    async def scenario() -> list[Any]:
        if how == "is refused":
            wire.__exit__()
        else:
            wire.fall_silent()
        entering = asyncio.create_task(enter())
        if how == "gives up":
            await asyncio.sleep(0.5)
            entering.cancel()
        await asyncio.wait([entering])
        assert entering.cancelled() is (how == "gives up")
        return left_behind()

    channels, groups, _ = road.run(scenario())
    assert (channels, groups) == ({}, {})


def test_who_is_cancelled_while_redis_is_away_goes(wire: Wire) -> None:
    async def listen() -> None:
        async with Feed(GROUP) as feed:
            while True:
                await feed.receive()

    async def scenario() -> list[Any]:
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        wire.__exit__()
        await asyncio.sleep(0.5)
        listening.cancel()
        await asyncio.wait([listening])
        assert listening.cancelled()
        return left_behind()

    channels, groups, _ = road.run(scenario())
    assert (channels, groups) == ({}, {})


def test_a_process_that_ends_while_redis_is_silent_ends_its_feeds(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_layer, "SILENCE_SECONDS", 0.3)

    async def listen(hears: asyncio.Event) -> None:
        async with Feed(GROUP) as feed:
            await heard_again(feed)
            hears.set()
            while True:
                await feed.receive()

    async def connecting() -> bool:
        layer: Any = get_channel_layer()
        return bool(layer._get_layer()._shards[0]._lock.locked())

    async def scenario() -> list[Any]:
        hears = asyncio.Event()
        listening = asyncio.create_task(listen(hears))
        await hears.wait()
        wire.fall_silent()
        await road.until(connecting)  # for which everything else that concerns Redis waits
        for _ in range(2):  # by whoever ends the tab, and by the event loop that ends
            listening.cancel()
            await asyncio.sleep(0.1)
        return left_behind()

    channels, groups, _ = road.run(scenario())
    assert (channels, groups) == ({}, {})
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_pages_read_anew_when_redis_is_back(
    process_environment: dict[str, str], transactional_db: None, alice: User
) -> None:
    with Redis() as redis, Web(1, {**process_environment, "REDIS_URL": redis.url}) as web:
        owner = Person(web, alice)
        with owner.tabs() as tab:
            redis.kill()
            redis.start()
            assert tab.next() == {"type": "listening"}
            owner.new_conversation(title="Heard")
            assert tab.next()["conversation"]["title"] == "Heard"


def test_an_owner_is_seen_again_after_redis_has_vanished(
    wire: Wire, redis: Redis, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_layer, "SILENCE_SECONDS", 1.0)
    settings.REDIS_URL = f"redis://127.0.0.1:{wire.port}/0"
    owner = uuid.uuid4()

    async def seen(times: int) -> bool:
        async with Client(port=redis.port) as directly:
            ((_, subscribers),) = await directly.pubsub_numsub(f"chat:owner:{owner}")
        return bool(subscribers == times)

    async def scenario() -> None:
        showing = asyncio.create_task(presence.show(owner))
        await road.until(partial(seen, 1))
        wire.fall_silent()
        await asyncio.sleep(1)
        wire.speak()
        await road.until(partial(seen, 2))  # the connection that is dead on this side lives on at the other
        showing.cancel()

    road.run(scenario())
