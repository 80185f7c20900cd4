"""Hold and settle: how many pairs the ledger gets done in a second."""

from __future__ import annotations

import asyncio
import multiprocessing

from benchmarks import ledger_user
from benchmarks.bare import pair
from benchmarks.figures import Row, median
from benchmarks.people import people
from benchmarks.stage import Stage

USERS, AT_ONCE, PROCESSES, SECONDS = 100, 32, 2, 5.0


def measure(stage: Stage, *, rounds: int = 3) -> list[Row]:
    """The ledger from two processes, as two web processes would use it, and the bare statements, in turn."""
    users = [person.user.pk for person in people(USERS)]
    database = stage.postgresql.url()
    ours, bare, hot = [], [], []
    for _ in range(rounds):
        ours.append(_ours(users))
        bare.append(asyncio.run(pair.pairs_per_second(database, workers=AT_ONCE, users=USERS, seconds=SECONDS)))
        hot.append(asyncio.run(pair.pairs_per_second(database, workers=AT_ONCE, users=1, seconds=SECONDS)))
    figure, beside = median(ours), median(bare)
    return [
        Row(name="pairs", what=f"hold + settle, {USERS} users, {AT_ONCE} at once", ours=figure, unit="pairs/s",
            bar="≥ 1,000 or ≥ 25 % of bare", met=figure >= 1000 or figure >= 0.25 * beside, bare=beside,
            bare_is="one-statement SQL pair", detail={"bare_one_hot_row": median(hot)})
    ]  # fmt: skip


def _ours(users: list[int]) -> float:
    context = multiprocessing.get_context("spawn")
    go, results = context.Barrier(PROCESSES), context.Queue()
    workers = [
        context.Process(
            target=ledger_user.work, args=(users[number::PROCESSES], AT_ONCE // PROCESSES, SECONDS, go, results)
        )
        for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    total = sum(results.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(timeout=30)
    return float(total)
