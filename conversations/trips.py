"""Commands for Redis that wait at the same time go there together, in their order.

redis-py takes a connection, writes, and waits for the answer anew with each command, which costs this process several
times what a command costs Redis, and several turns of its event loop. With many replies some command is always on its
way; those that come meanwhile wait for its answer, and then go in one trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

Argument = str | bytes | int


class Trips:
    """What one event loop asks one Redis, one trip after the other. `client` is asked for with each trip."""

    def __init__(self, client: Callable[[], Redis]) -> None:
        self._client = client
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._going: asyncio.Task[None] | None = None

    async def ask(self, *command: Argument) -> Any:
        """The answer to one command. Raises what redis-py raises.

        Whoever goes away before it is there leaves the command to be carried out all the same.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._going is None:
            self._going = asyncio.create_task(self._go())
        return await answer

    async def _go(self) -> None:
        try:
            while self._waiting:
                going, self._waiting = self._waiting, []
                for (_, answer), found in zip(going, await self._trip([command for command, _ in going]), strict=True):
                    if answer.done():
                        continue  # whoever asked has gone away
                    if isinstance(found, Exception):
                        answer.set_exception(found)
                    else:
                        answer.set_result(found)
        finally:
            self._going = None

    async def _trip(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        """The answer, or the error, of each."""
        try:
            async with self._client().pipeline(transaction=False) as trip:
                for command in commands:
                    trip.execute_command(*command)
                return await trip.execute(raise_on_error=False)
        except Exception as error:  # whatever it is, each of them is waited for
            return [error] * len(commands)
