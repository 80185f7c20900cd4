"""Stop pressed at one web process for a reply that runs in another."""

from __future__ import annotations

import asyncio
import time

from benchmarks.figures import Row, median, percentile
from benchmarks.people import people
from benchmarks.stage import Stage
from benchmarks.talks import close, question, sockets


def measure(stage: Stage, *, rounds: int = 100) -> list[Row]:
    """From the click to the provider's connection closed, as the provider saw it."""
    (person,) = people(1)

    async def run() -> list[float]:
        clicks: list[float] = []
        (sender,) = await sockets(stage.webs[0], [person])
        (other,) = await sockets(stage.webs[1], [person])
        await asyncio.sleep(0.3)
        for _ in range(rounds):
            answer = sender.ask(question(deltas=1000, between=0.01))
            assert sender.first is not None
            assert sender.done is not None
            await asyncio.wait_for(sender.first, 20)
            await asyncio.sleep(0.05)
            clicks.append(time.monotonic())
            other.send({"type": "stop", "message_id": answer.message_id})
            await asyncio.wait_for(sender.done, 20)
            if answer.status != "stopped":
                raise RuntimeError(f"a stopped reply ended as {answer.status}")
        close([sender, other])
        return clicks

    stage.provider.reset()
    clicks = asyncio.run(run())
    rows = stage.provider.wait_idle().rows
    took = [
        (row.client_closed_at - click) * 1000
        for row, click in zip(rows, clicks, strict=True)
        if row.client_closed_at is not None
    ]
    if len(took) < rounds:
        raise RuntimeError(f"the provider saw {rounds - len(took)} replies through to their end")
    p99 = percentile(took, 0.99)
    return [
        Row(name="stop", what="Stop across web processes, click to upstream closed, p99", ours=p99, unit="ms",
            bar="≤ 150 ms", met=p99 <= 150, detail={"p50_ms": median(took), "worst_ms": max(took), "stops": rounds})
    ]  # fmt: skip
