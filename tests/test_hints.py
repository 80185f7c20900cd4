"""Hints on the channel layer: who hears them, and what a feed leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from channels.layers import get_channel_layer

from conversations import events, hints
from conversations.hints import Feed
from conversations.log import Delta
from tests import road

GROUP = "conversation.test"


def left_behind() -> list[Any]:
    """What the layer still keeps for this event loop."""
    layer: Any = get_channel_layer()
    if hasattr(layer, "_get_layer"):  # Redis
        inner = layer._get_layer()
        return [dict(inner.channels), dict(inner.groups), *(set(shard._subscribed_to) for shard in inner._shards)]
    return [dict(layer.channels), dict(layer.groups)]


def test_everyone_in_a_group_hears_and_nobody_else() -> None:
    async def scenario() -> list[Any]:
        async with Feed(GROUP) as one, Feed(GROUP) as two, Feed("conversation.other") as other:
            await hints.announce(GROUP, {"stop": "it"})
            return [await one.receive(timeout=2), await two.receive(timeout=2), await other.receive(timeout=0.1)]

    heard = {"type": "hint", "stop": "it"}
    assert road.run(scenario()) == [heard, heard, None]


def test_an_event_comes_as_it_was_sent() -> None:
    conversation_id, message_id = uuid4(), UUID(int=5)
    event = events.delta(message_id, Delta(start=3, end=7, content="w\u00f6rd"))

    async def scenario() -> Any:
        async with Feed(hints.group_of(conversation_id)) as feed:
            await hints.announce_event(conversation_id, event)
            return await feed.event(timeout=2)

    assert road.run(scenario()) == event


def test_a_hint_that_comes_after_a_silence_is_heard() -> None:
    async def scenario() -> list[Any]:
        heard = []
        async with Feed(GROUP) as feed:
            for number in range(3):
                assert await feed.receive(timeout=0.05) is None
                await hints.announce(GROUP, {"number": number})  # nobody waits for it just now
                await asyncio.sleep(0.1)
                heard.append(await feed.receive(timeout=2))
        return heard

    assert [hint["number"] for hint in road.run(scenario()) if hint] == [0, 1, 2]


@pytest.mark.parametrize("how", ["heard all", "heard some", "silence", "cancelled"])
def test_a_feed_that_is_left_leaves_nothing_behind(how: str) -> None:
    async def listen(announced: int) -> None:
        async with Feed(GROUP) as feed:
            for number in range(announced):
                await hints.announce(GROUP, {"number": number})
            for _ in range(announced - (how == "heard some")):
                assert await feed.receive(timeout=2)
            if how == "silence":
                assert await feed.receive(timeout=0.05) is None
            if how == "cancelled":
                await feed.receive()

    async def scenario() -> tuple[list[Any], list[Any]]:
        await hints.announce(GROUP, {})
        before = left_behind()
        for announced in (1, 3):
            listening = asyncio.create_task(listen(announced))
            if how == "cancelled":
                await asyncio.sleep(0.3)
                listening.cancel()
            await asyncio.gather(listening, return_exceptions=how == "cancelled")
        return before, left_behind()

    before, after = road.run(scenario())
    assert after == before


def test_what_cannot_be_told_is_no_error() -> None:
    road.run(hints.announce(GROUP, {"number": object()}))  # no layer over Redis can carry that


def test_an_error_of_the_layer_reaches_who_listens(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:9/0"]},
        }
    }

    async def scenario() -> None:
        await hints.announce(GROUP, {"number": 1})  # costs nobody anything
        async with Feed(GROUP) as feed:
            await feed.receive(timeout=1)

    with pytest.raises(Exception, match="9"):
        road.run(scenario())
