"""Commands for Redis that wait at the same time: one trip, and to each its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import ResponseError

from accounts.errors import AWAY
from conversations.trips import Trips
from tests import road
from tests.services import Redis

pytestmark = [pytest.mark.once("scaled"), pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with Redis() as running:
        yield running


async def reads(client: Client) -> int:
    """How often Redis has read from anybody."""
    return int((await client.info("stats"))["total_reads_processed"])


def test_they_go_together_and_in_their_order(redis: Redis) -> None:
    async def scenario() -> tuple[list[Any], int]:
        async with Client.from_url(redis.url) as client:
            trips = Trips(lambda: client)
            await trips.ask("DEL", "line")
            before = await reads(client)
            told = await asyncio.gather(*(trips.ask("RPUSH", "line", number) for number in range(200)))
            took = await reads(client) - before
            assert await client.lrange("line", 0, -1) == [str(number).encode() for number in range(200)]
            return told, took

    told, took = road.run(scenario())

    assert told == list(range(1, 201))
    assert took < 20, f"{took} reads for 200 commands"


def test_what_comes_while_some_are_on_their_way_goes_with_the_next(redis: Redis) -> None:
    async def scenario() -> list[Any]:
        async with Client.from_url(redis.url) as client:
            trips = Trips(lambda: client)
            await trips.ask("DEL", "count")
            first = asyncio.create_task(trips.ask("INCR", "count"))
            await asyncio.sleep(0)  # it is being sent
            await asyncio.sleep(0)
            return [*await asyncio.gather(*(trips.ask("INCR", "count") for _ in range(5))), await first]

    assert road.run(scenario()) == [2, 3, 4, 5, 6, 1]


def test_an_error_is_only_for_whoever_asked_for_it(redis: Redis) -> None:
    async def scenario() -> list[Any]:
        async with Client.from_url(redis.url) as client:
            trips = Trips(lambda: client)
            await trips.ask("SET", "word", "hello")
            asked = [trips.ask("GET", "word"), trips.ask("INCR", "word"), trips.ask("STRLEN", "word")]
            return list(await asyncio.gather(*asked, return_exceptions=True))

    word, wrong, length = road.run(scenario())
    assert (word, length) == (b"hello", 5)
    assert isinstance(wrong, ResponseError)


def test_whoever_goes_away_takes_nobody_along(redis: Redis) -> None:
    async def scenario() -> tuple[list[Any], Any]:
        async with Client.from_url(redis.url) as client:
            trips = Trips(lambda: client)
            await trips.ask("DEL", "count")
            asking = [asyncio.create_task(trips.ask("INCR", "count")) for _ in range(10)]
            await asyncio.sleep(0)
            for task in asking[::2]:
                task.cancel()
            await asyncio.wait(asking)
            return [task.result() for task in asking[1::2]], await client.get("count")

    assert road.run(scenario()) == ([2, 4, 6, 8, 10], b"10")


def test_all_who_wait_hear_that_redis_is_gone_and_the_next_find_it_again(redis: Redis) -> None:
    async def scenario() -> tuple[list[Any], Any]:
        async with Client.from_url(redis.url) as client:
            trips = Trips(lambda: client)
            await trips.ask("PING")
            redis.kill()
            asked = await asyncio.gather(*(trips.ask("PING") for _ in range(3)), return_exceptions=True)
            redis.start()
            return asked, await trips.ask("PING")

    asked, again = road.run(scenario())
    assert [isinstance(error, AWAY) for error in asked] == [True, True, True]
    assert again in (b"PONG", True)
