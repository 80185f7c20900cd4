"""The first three rows for other products, between the same client and the same provider."""

from __future__ import annotations

import asyncio

from benchmarks import proc
from benchmarks.figures import Row, median, percentile
from benchmarks.peers.litellm import LiteLLM
from benchmarks.rows import cpu, first_delta
from benchmarks.stage import Stage
from benchmarks.talks import ask_directly, checked, question

NAME = "LiteLLM's proxy, which stores nothing here"


def measure(stage: Stage) -> list[Row]:
    """LiteLLM's proxy."""
    with LiteLLM(stage.provider.base_url) as proxy:
        return asyncio.run(_rows(stage, proxy))


async def _rows(stage: Stage, proxy: LiteLLM) -> list[Row]:
    ports = {"direct": stage.provider_port, "theirs": proxy.port}
    alone = await _firsts(ports, streams=1, rounds=30)
    together = await _firsts(ports, streams=first_delta.STREAMS, rounds=4)
    used = [await _cpu(stage, proxy) for _ in range(4)][1:]  # the first warms it up
    figures = {
        "first": (f"first delta, added over direct, 1 stream, p50: {NAME}", _added(alone, 0.5), "ms"),
        "first50": (f"the same, 50 at once, p50: {NAME}", _added(together, 0.5), "ms"),
        "first50_p95": (f"the same, p95: {NAME}", _added(together, 0.95), "ms"),
        "cpu": (f"CPU per provider delta: {NAME}", median(used) * 1e6, "µs"),
    }
    return [
        Row(name=f"{name}_litellm", what=what, ours=figure, unit=unit) for name, (what, figure, unit) in figures.items()
    ]


def _added(firsts: dict[str, list[float]], share: float) -> float:
    """Milliseconds beyond the provider's own."""
    return (percentile(firsts["theirs"], share) - percentile(firsts["direct"], share)) * 1000


async def _firsts(ports: dict[str, int], *, streams: int, rounds: int) -> dict[str, list[float]]:
    """When first deltas came, both ways in turn; a first round warms up."""
    seen: dict[str, list[float]] = {way: [] for way in ports}
    for number in range(rounds + 1):
        for way, port in ports.items():
            answers = await ask_directly(port, [question(deltas=20, between=0.02) for _ in range(streams)])
            if number:
                seen[way] += [answer.first for answer in answers]
            await asyncio.sleep(0.2)
    return seen


async def _cpu(stage: Stage, proxy: LiteLLM) -> float:
    """Seconds of its process for each delta."""
    texts = [question(deltas=cpu.DELTAS, between=cpu.BETWEEN) for _ in range(cpu.STREAMS)]
    before = proc.cpu_seconds(proxy.pid)
    answers = await ask_directly(proxy.port, texts)
    await asyncio.sleep(0.5)
    checked(answers, (await asyncio.to_thread(lambda: stage.provider.bill)).rows)
    return (proc.cpu_seconds(proxy.pid) - before) / (cpu.STREAMS * cpu.DELTAS)
