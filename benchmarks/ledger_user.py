"""A process that holds and settles as fast as it can. Nothing of Django is imported before it is set up."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from typing import Any


def work(users: list[int], threads: int, seconds: float, go: Any, results: Any) -> None:
    """Pairs per second of so many threads, put into `results`; all processes begin together, at the barrier `go`."""
    import django

    sys.setswitchinterval(0.0005)  # as in a web process (chatproject/asgi.py)
    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.utils import timezone

    from accounts.models import User
    from billing import prices

    # As many connections as threads; the product bounds both by the same setting.
    settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"] = threads
    everyone = list(User.objects.filter(pk__in=users))
    price = prices.in_force(model="gpt-4o-mini", now=timezone.now())
    connection.close()
    done = itertools.count()

    def pairs(mine: list[User], until: float) -> None:
        for user in itertools.cycle(mine):
            if time.monotonic() > until:
                break
            _pair(user, price)
            next(done)

    pairs(everyone[:1], time.monotonic() + 0.5)
    go.wait(timeout=60)
    begun, before = time.monotonic(), next(done)
    running = [
        threading.Thread(target=pairs, args=(everyone[number::threads], begun + seconds)) for number in range(threads)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    results.put((next(done) - before - 1) / (time.monotonic() - begun))


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
