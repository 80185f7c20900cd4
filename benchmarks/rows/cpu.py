"""CPU of the web process for each delta that the provider sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks import proc
from benchmarks.figures import Row, median
from benchmarks.people import Person, people
from benchmarks.stage import Stage
from benchmarks.talks import ask_all, checked, close, question, sockets, spread
from deploy.cluster.product import Web

STREAMS, DELTAS, BETWEEN = 50, 200, 0.005


async def round_of(stage: Stage, web: Web, everyone: Sequence[Person], deltas: int) -> float:
    """CPU seconds of one process for a round of streams, from the sends to the last answer settled."""
    tabs = await sockets(web, everyone)
    await asyncio.sleep(0.5)
    texts = [question(deltas=deltas, between=BETWEEN) for _ in everyone]
    before = proc.cpu_seconds(web.pid)
    answers = await ask_all(tabs, texts)
    await asyncio.sleep(0.3)  # what is done after `done`
    used = proc.cpu_seconds(web.pid) - before
    checked(answers, (await asyncio.to_thread(lambda: stage.provider.bill)).rows)
    close(tabs)
    return used


def measure(stage: Stage, *, rounds: int = 5) -> list[Row]:
    """Rounds of ours and of the bare relay in turn, and of ours with few deltas: the difference is a delta's own."""
    everyone = people(STREAMS)

    async def run() -> tuple[list[float], list[float], list[float]]:
        ours, bare, short = list[float](), list[float](), list[float]()
        for number in range(rounds + 1):
            found = [
                await round_of(stage, stage.webs[0], everyone, DELTAS),
                await round_of(stage, stage.bare, everyone, DELTAS),
                await round_of(stage, stage.webs[0], everyone, DELTAS // 10),
            ]
            if number:
                ours.append(found[0])
                bare.append(found[1])
                short.append(found[2])
        return ours, bare, short

    ours, bare, short = asyncio.run(run())
    count = STREAMS * DELTAS
    whole, beside = (median(values) / count * 1e6 for values in (ours, bare))
    own = (median(ours) - median(short)) / (STREAMS * (DELTAS - DELTAS // 10)) * 1e6
    detail = {
        "ours_us": [value / count * 1e6 for value in spread(ours)],
        "bare_us": [value / count * 1e6 for value in spread(bare)],
        "delta_alone_us": own,
        "reply_without_its_deltas_ms": (median(ours) - own * count / 1e6) / STREAMS * 1000,
    }
    return [
        Row(name="cpu", what=f"CPU per provider delta, {STREAMS} streams of {DELTAS}, 5 ms apart", ours=whole,
            unit="µs", bar="≤ 90 µs", met=whole <= 90, bare=beside, bare_is="bare SDK relay", detail=detail)
    ]  # fmt: skip
