"""Counters of messages by person, by address and by tier, and how they stand."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import redis

from accounts.models import User
from accounts.requests import address_of
from conversations import counters, limits
from conversations.limits import Allowance, RateLimited, counted
from tests.services import Redis
from tests.wire import Wire

HOME = "198.51.100.7"
THREADS = 32


@pytest.fixture(autouse=True)
def rates(settings: Any) -> Any:
    settings.CHAT_RATE, settings.CHAT_RATE_SMART, settings.CHAT_RATE_IP = "5/d", "2/d", "8/d"
    return settings


def take(*, user: User, address: str, tier: str) -> Allowance:
    """A message that is granted."""
    with counted(user=user, address=address, tier=tier) as allowance:
        return allowance


def remaining(user: User, *, address: str = HOME, tier: str = "fast") -> int:
    return take(user=user, address=address, tier=tier).remaining


def test_each_message_uses_up_one_and_the_tightest_counter_is_told(alice: User) -> None:
    assert [remaining(alice) for _ in range(2)] == [4, 3]
    allowance = take(user=alice, address=HOME, tier="smart")
    assert (allowance.limit, allowance.remaining) == (2, 1)
    assert 1 <= allowance.reset <= 86_400
    assert allowance.headers() == {
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": str(allowance.reset),
    }


def test_the_smart_tier_is_stricter_and_counts_for_both(alice: User) -> None:
    assert [remaining(alice, tier="smart") for _ in range(2)] == [1, 0]
    for _ in range(3):  # a refusal by one counter uses up nothing of the others
        with pytest.raises(RateLimited) as refused:
            take(user=alice, address=HOME, tier="smart")
        assert refused.value.allowance is not None
        assert refused.value.allowance.limit == 2
    assert [remaining(alice) for _ in range(3)] == [2, 1, 0]
    with pytest.raises(RateLimited) as refused:
        take(user=alice, address=HOME, tier="fast")
    assert refused.value.allowance is not None
    assert refused.value.allowance.limit == 5
    assert refused.value.headers()["Retry-After"] == str(refused.value.allowance.reset)


def test_people_behind_one_address_share_its_counter_and_no_other(alice: User, bob: User, charlie: User) -> None:
    for _ in range(4):
        remaining(alice)
        remaining(bob)
    for user in (alice, bob, charlie):
        with pytest.raises(RateLimited) as refused:
            take(user=user, address=HOME, tier="fast")
        assert refused.value.allowance is not None
        assert refused.value.allowance.limit == 8
    assert remaining(charlie, address="203.0.113.9") == 4
    assert remaining(alice, address="203.0.113.9") == 0  # her fifth: the refusals were not counted


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "peer"),
        (0, "1.1.1.1", "peer"),  # anybody can send the header
        (1, "", "peer"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # what the client itself wrote is not believed
        (2, "6.6.6.6, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (2, "1.1.1.1", "peer"),
        (1, " , 1.1.1.1 ,", "1.1.1.1"),
    ],
)
def test_the_address_is_what_the_last_trusted_proxy_saw(
    settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert address_of(forwarded=forwarded, peer="peer") == address


def test_a_refusal_says_when_to_try_again(alice: User, settings: Any) -> None:
    settings.CHAT_RATE = "1/s"
    take(user=alice, address=HOME, tier="fast")
    refusals = []
    for _ in range(20):
        try:
            take(user=alice, address=HOME, tier="fast")
        except limits.RateLimited as error:
            refusals.append(error)
    assert refusals, "twenty messages do not take twenty seconds"
    assert all(error.details["retry_after"] >= 1 for error in refusals)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads hand over the interpreter all the time, so that a race is likely to be lost."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_the_first_counts_of_a_process_may_come_all_at_once() -> None:
    barrier = Barrier(THREADS)

    def count(number: int) -> int:
        barrier.wait()
        one = counters.counter(group="send.user", value=f"user:{number}", rate="100/h")
        return counters.add([one], 1)[0]

    with ThreadPoolExecutor(THREADS) as threads:
        for number in range(10):
            importlib.reload(counters)  # as it is when a process begins
            found = [each.result() for each in [threads.submit(count, number) for _ in range(THREADS)]]
            assert sorted(found) == list(range(1, THREADS + 1))


@pytest.mark.once("embedded")
def test_a_redis_that_says_nothing_is_not_waited_for_as_long_as_others_would(settings: Any) -> None:
    with Redis() as server, Wire(server.port) as wire, ThreadPoolExecutor(2) as threads:
        before, settings.REDIS_URL = settings.REDIS_URL, f"redis://127.0.0.1:{wire.port}/0"
        try:
            importlib.reload(counters)
            one = counters.counter(group="send.user", value="user:1", rate="100/h")
            patient = redis.Redis.from_url(settings.REDIS_URL)
            assert (counters.add([one], 1), patient.ping()) == ([1], True)
            wire.fall_silent()
            waits = threads.submit(patient.ping)
            with pytest.raises(redis.TimeoutError):
                counters.add([one], 1)
            assert not waits.done()
            with pytest.raises(redis.TimeoutError):
                waits.result()
        finally:
            settings.REDIS_URL = before
            importlib.reload(counters)
