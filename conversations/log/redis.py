"""The log in Redis: a stream a reply, its entries named by the end that they reach."""

import asyncio
import weakref
from typing import Any
from uuid import UUID

import redis.asyncio
from django.conf import settings

from conversations.log.delta import Delta, Telling, joined
from conversations.trips import Argument, Trips

ORPHAN_SECONDS = 3600  # a log that nobody writes to or closes any more is gone after this
FIRST = "0-1"  # the entry that marks an open log; a delta that ends at n is entry n-0

# Appends only at the log's end, so that of two writers one is always told that it lost. What is told of it goes along:
# the channel layer would ask for a trip of its own, and lets a process make one at a time.
_APPEND = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last or last[1] ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[1], ARGV[2], 'content', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
if ARGV[5] then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return 1
"""
# One entry more with the same end: what an append expects as the last entry is then not the last. A log that
# Redis has forgotten is sealed too, lest its writer come back and write it anew.
_SEAL = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then last = {redis.call('XADD', KEYS[1], ARGV[1], 'content', '')} end
redis.call('XADD', KEYS[1], string.match(last[1], '^%d+') .. '-*', 'content', '')
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
# In one step: a process that dies between throwing away and writing would take along what was seen.
_REWRITE = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if last and last[1] ~= ARGV[1] and not string.match(last[1], '%-0$') then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[1], ARGV[1], 'content', '')
redis.call('XADD', KEYS[1], ARGV[2], 'content', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""
_OPEN = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('XADD', KEYS[1], ARGV[1], 'content', '')
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
if ARGV[3] then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
"""

# A sealed log leaves its seal: a writer so slow that its reply was ended before it opened the log would begin
# another, and people would see text that is stored nowhere.
_CLOSE = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
redis.call('DEL', KEYS[1])
if not last or last[1] == ARGV[1] or string.match(last[1], '%-0$') then return end
redis.call('XADD', KEYS[1], ARGV[1], 'content', '')
redis.call('XADD', KEYS[1], string.match(ARGV[1], '^%d+') .. '-*', 'content', '')
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = weakref.WeakKeyDictionary()
_trips: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Trips] = weakref.WeakKeyDictionary()


def client() -> redis.asyncio.Redis:
    """The one client of this event loop."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        # Of its connections, should they be all in use, one is waited for: a client of its own would raise.
        pool = redis.asyncio.BlockingConnectionPool.from_url(settings.REDIS_URL)
        client = _clients[loop] = redis.asyncio.Redis.from_pool(pool)
    return client


async def leave() -> None:
    """Close this event loop's connections, before it ends: the client holds the loop, so neither would ever go."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


def _key(message_id: UUID) -> str:
    return f"chat:log:{message_id}"


async def _run(script: str, message_id: UUID, *arguments: Argument) -> Any:
    """What a script answers, of a reply's log."""
    loop = asyncio.get_running_loop()
    trips = _trips.get(loop)
    if trips is None:
        trips = _trips[loop] = Trips(client)
    return await trips.ask("EVAL", script, 1, _key(message_id), *arguments)


class RedisHome:
    """A stream a reply."""

    async def open(self, message_id: UUID, *, telling: Telling | None = None) -> None:
        """Begin an empty log; one that is there already stays as it is."""
        told = () if telling is None else telling.published()
        await _run(_OPEN, message_id, FIRST, str(ORPHAN_SECONDS), *told)

    async def seal(self, message_id: UUID) -> None:
        """Let nobody append any more."""
        await _run(_SEAL, message_id, FIRST, str(ORPHAN_SECONDS))

    async def rewrite(self, message_id: UUID, whole: Delta, *, writer: UUID) -> bool:
        """Put the whole text in the place of what is there; whoever takes a lease over seals the log first."""
        arguments = (FIRST, f"{whole.end}-0", whole.content, str(ORPHAN_SECONDS))
        return bool(await _run(_REWRITE, message_id, *arguments))

    async def append(self, message_id: UUID, delta: Delta, *, writer: UUID, telling: Telling | None = None) -> bool:
        """Add a delta whose start is the log's end; whoever takes a lease over seals the log first."""
        last = f"{delta.start}-0" if delta.start else FIRST
        told = () if telling is None else telling.published()
        arguments = (last, f"{delta.end}-0", delta.content, str(ORPHAN_SECONDS), *told)
        return bool(await _run(_APPEND, message_id, *arguments))

    async def read(self, message_id: UUID, start: int) -> Delta | None:
        """All that follows an offset, as one delta."""
        deltas: list[Delta] = []
        entries: list[Any] = await client().xrange(_key(message_id), min=f"({start}-1") or []
        for name, fields in entries:
            content = fields[b"content"].decode()
            end = int(name.split(b"-")[0])
            deltas.append(Delta(start=end - len(content), end=end, content=content))
        return joined(deltas, start)

    async def close(self, message_id: UUID) -> None:
        """Delete the stream; all but its seal where it is sealed."""
        await _run(_CLOSE, message_id, FIRST, str(ORPHAN_SECONDS))
