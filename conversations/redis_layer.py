"""Channels' layer over Redis, but that it notices when Redis is gone, and says so when hints may have been lost.

The layer's own loop waits for a message a tenth of a second at a time and takes every `TimeoutError` for the end of
that wait. The kernel says just this of a connection whose other host has vanished, and from then on at once each
time: the loop would spin without ever letting anything else of the process run, also when Redis is back. Before the
kernel says so, and where something was sent that nobody acknowledges that takes a quarter of an hour, all is silent.
So whoever hears nothing here asks, and connects anew where no answer comes.

All that is private to channels_redis is used here; its version is pinned.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from channels_redis.pubsub import (  # type: ignore[import-untyped]
    RedisPubSubChannelLayer,
    RedisSingleShardConnection,
)
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from conversations.hints import GAP
from conversations.trips import Trips

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 5.0  # after which Redis is asked whether it is there, and in which it has to answer
AGAIN_SECONDS = 0.5  # between two tries to connect


async def heard(subscription: PubSub) -> dict[str, Any]:
    """The next that Redis says to a subscriber; after a silence it is asked whether it is there.

    Raises ConnectionError where it does not answer, or an error of redis where the kernel has given it up.
    """
    message: dict[str, Any] | None = await subscription.get_message(timeout=SILENCE_SECONDS)
    if message is None:
        await subscription.ping()
        message = await subscription.get_message(timeout=SILENCE_SECONDS)
    if message is None:
        raise ConnectionError("Redis does not answer")
    return message


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # it brings no types
    """For groups alone: a channel is a queue of this process, and what is sent to it by its name is not heard."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        """A channel to add to a group. Redis need not know of it, so this neither waits nor fails."""
        layer = self._get_layer()
        channel = f"{layer.prefix}{prefix}{uuid.uuid4().hex}"
        layer.channels[channel] = asyncio.Queue()
        return channel

    async def receive(self, channel: str) -> Any:
        """The next message. Who is cancelled here has left, and waits for nothing: Redis never knew of the channel."""
        channels = self._get_layer().channels
        try:
            return self.deserialize(await channels[channel].get())
        except asyncio.CancelledError:
            channels.pop(channel, None)
            raise

    def _get_layer(self) -> Any:
        layer = super()._get_layer()
        if not isinstance(layer._shards[0], Shard):  # it was made just now
            layer._shards = [Shard(shard.host, layer) for shard in layer._shards]
        return layer


class Shard(RedisSingleShardConnection):  # type: ignore[misc]  # nor does this
    """The connection to one Redis."""

    def __init__(self, host: Any, layer: Any) -> None:
        super().__init__(host, layer)
        self._confirmed: set[str] = set()  # what Redis has said that it will tell of
        self._lost = False
        self._trips = Trips(self._client)

    async def publish(self, channel: str, message: bytes) -> None:
        """Tell, together with all else that waits to be told: each by itself would wait for a trip of every other."""
        await self._trips.ask("PUBLISH", channel, message)

    def _client(self) -> Redis:
        self._ensure_redis()
        client: Redis = self._redis
        return client

    async def _do_receiving(self) -> None:
        while True:
            try:
                if self._pubsub is not None and self._pubsub.subscribed:
                    await self._receive_next()
                else:
                    await asyncio.sleep(0.1)
            except Exception as error:  # whatever it is: nobody would hear anything any more
                logger.warning("the channel layer hears nothing: %s", type(error).__name__)
                self._lost = True
                await asyncio.sleep(AGAIN_SECONDS)

    async def _receive_next(self) -> None:
        if self._lost:
            async with self._lock:  # or somebody who subscribes just now would connect at the same time
                if self._pubsub.connection is not None:  # which may be dead, and not know it
                    await self._pubsub.connection.disconnect(nowait=True)
                await self._pubsub.connect()
            self._lost = False
        self._on(await heard(self._pubsub))

    def _on(self, message: dict[str, Any]) -> None:
        """A message goes to whoever it is for. A second confirmation means that there was a gap before it."""
        if message["type"] == "message":
            self._receive_message(message)
            return
        name = (message["channel"] or b"").decode()
        if message["type"] == "unsubscribe":
            self._confirmed.discard(name)
        elif message["type"] == "subscribe":
            if name in self._confirmed:
                self._receive_message({"channel": name, "data": self.channel_layer.channel_layer.serialize(GAP)})
            self._confirmed.add(name)
