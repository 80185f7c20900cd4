"""Counters of what happened in a span of time: django-ratelimit's windows and keys, all counters in one round trip.

The library itself asks the cache up to three times for each counter, and cannot take one back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import redis
from django.conf import settings
from django.core.cache import cache
from django_ratelimit import core

# One for all threads, from the beginning: were it made at its first use, several threads could make one each, and
# those that lose would take their connections away from under whoever counts with them. It connects when it is used.
# Whoever counts holds a database thread, of which there are few: a Redis that says nothing is not waited for long.
PATIENCE = 1.0  # seconds
_client = (
    redis.Redis.from_url(settings.REDIS_URL, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    if settings.REDIS_URL
    else None
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One counter in the window that runs now; `ends` in seconds of the epoch."""

    key: str
    limit: int
    ends: int
    lasts: int

    @property
    def left(self) -> int:
        """Seconds until it starts again."""
        return max(1, self.ends - int(time.time()))


def counter(*, group: str, value: str, rate: str) -> Counter:
    """The counter of a value, such as a user's id, at a rate such as `15/m`."""
    limit, seconds = core._split_rate(rate)
    ends = core._get_window(value, seconds)
    key = core._make_cache_key(group, ends, rate, value, core.ALL)
    return Counter(key=key, limit=limit, ends=ends, lasts=seconds + core.EXPIRATION_FUDGE)


def add(counters: Sequence[Counter], number: int) -> list[int]:
    """Add to each, or take back where `number` is negative; how they stand then."""
    if _client is None:
        return [_add_here(one, number) for one in counters]
    with _client.pipeline(transaction=False) as pipeline:
        for one in counters:
            pipeline.set(one.key, 0, ex=one.lasts, nx=True)
            pipeline.incrby(one.key, number)
        return [int(count) for count in pipeline.execute()[1::2]]


def _add_here(one: Counter, number: int) -> int:
    cache.add(one.key, 0, one.lasts)
    return int(cache.incr(one.key, number))
