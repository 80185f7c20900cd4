"""A process that holds and settles as fast as it can. Nothing of Django is imported before it is set up."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def work(users: list[int], at_once: int, seconds: float, go: Any, results: Any) -> None:
    """Pairs per second of a web process that so many are asked of at the same time, put into `results`.

    All processes begin together, at the barrier `go`.
    """
    importlib.import_module("chatproject.asgi")  # sets Django and the interpreter up as a web process has them
    from django.conf import settings
    from django.utils import timezone

    from accounts.models import User
    from billing import prices

    everyone = list(User.objects.filter(pk__in=users))
    price = prices.in_force(model="gpt-4o-mini", now=timezone.now())
    with ThreadPoolExecutor(settings.CHAT_DATABASE_THREADS) as threads:
        list(threads.map(_pair, everyone, [price] * len(everyone)))  # each thread has its connection then
        go.wait(timeout=60)
        results.put(asyncio.run(_pairs_per_second(threads, everyone, price, at_once, seconds)))


async def _pairs_per_second(
    threads: ThreadPoolExecutor, users: list[Any], price: Any, at_once: int, seconds: float
) -> float:
    """So many ask at once, each anew when it has been answered; as in the product, they wait for a thread."""
    loop, done = asyncio.get_running_loop(), itertools.count()
    begun = time.monotonic()

    async def ask(mine: list[Any]) -> None:
        for user in itertools.cycle(mine):
            if time.monotonic() > begun + seconds:
                break
            await loop.run_in_executor(threads, _pair, user, price)
            next(done)

    await asyncio.gather(*(ask(users[number::at_once]) for number in range(at_once)))
    return next(done) / (time.monotonic() - begun)


def _pair(user: Any, price: Any) -> None:
    """One call held and settled, each in a visit to the database of its own."""
    from django.db import connection, transaction
    from django.utils import timezone

    from billing import bounds, ledger, pricing

    now = timezone.now()
    call = bounds.Call(user=user, feature="bench", price=price, input_tokens=200, output_cap=1000)
    with transaction.atomic():
        record = ledger.hold(call=call, now=now)
    connection.close()  # back to the pool, as the product does after each piece of work
    ledger.settle(
        record=record,
        tokens=pricing.Tokens(input=200, output=200),
        outcome="complete",
        measured="provider",
        usage=None,
        provider_request_id="",
        now=now,
    )
    connection.close()
