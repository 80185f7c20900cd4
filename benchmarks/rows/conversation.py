"""Sending into a long conversation."""

from __future__ import annotations

import asyncio

from benchmarks.figures import Row, median
from benchmarks.people import people
from benchmarks.sockets import Socket
from benchmarks.stage import Stage
from benchmarks.talks import close, question, sockets

LONG, SHORT = 10_000, 100


def measure(stage: Stage, *, rounds: int = 40) -> list[Row]:
    """From Send to the reply begun (admitted, fitted, held, committed), the two in turn."""
    everyone = [people(1, messages=count)[0] for count in (LONG, SHORT)]

    async def run() -> tuple[list[float], list[float]]:
        tabs: list[Socket] = await sockets(stage.webs[0], everyone)
        took: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds + 3):
            for tab, seen in zip(tabs, took, strict=True):
                answer = await tab.whole(question(deltas=3, between=0, first=0))
                if number >= 3:
                    seen.append((answer.started_at - answer.sent_at) * 1000)
        close(tabs)
        return took

    long, short = (median(values) for values in asyncio.run(run()))
    return [
        Row(name="long", what=f"sending into a conversation of {LONG:,} messages", ours=long, unit="ms",
            bar=f"≤ 1.2 × one of {SHORT}", met=long <= 1.2 * short, bare=short, bare_is=f"one of {SHORT}")
    ]  # fmt: skip
