"""The first delta: what we add to talking to the provider directly."""

from __future__ import annotations

import asyncio
import itertools

from benchmarks.figures import Row, median, percentile
from benchmarks.people import people
from benchmarks.sockets import Answer
from benchmarks.stage import Stage
from benchmarks.talks import ask_all, ask_directly, close, question, sockets

STREAMS, PEOPLE = 50, 10


def one(stage: Stage, *, rounds: int = 60) -> list[Row]:
    """One stream at a time, the three ways in turn; not anyone's first, which makes the rows of their budgets."""
    everyone = people(PEOPLE) * (rounds // PEOPLE)

    async def run() -> dict[str, list[float]]:
        seen: dict[str, list[float]] = {"direct": [], "bare": [], "ours": []}
        for number, person in enumerate(everyone):
            tabs = {"bare": await sockets(stage.bare, [person]), "ours": await sockets(stage.webs[0], [person])}
            await asyncio.sleep(0.05)
            for way in ("direct", "bare", "ours"):
                text = [question(deltas=5, between=0.005)]
                answers = await (
                    ask_directly(stage.provider_port, text) if way == "direct" else ask_all(tabs[way], text)
                )
                if number >= PEOPLE:
                    seen[way].append(answers[0].first)
            for opened in tabs.values():
                close(opened)
        return seen

    seen = asyncio.run(run())
    direct = median(seen["direct"])
    ours, bare = ((median(seen[way]) - direct) * 1000 for way in ("ours", "bare"))
    detail = {
        "direct_ms": direct * 1000,
        "ours_p95_ms": (percentile(seen["ours"], 0.95) - percentile(seen["direct"], 0.95)) * 1000,
        "bare_p95_ms": (percentile(seen["bare"], 0.95) - percentile(seen["direct"], 0.95)) * 1000,
    }
    return [
        Row(name="first", what="first delta, added over direct, 1 stream, p50", ours=ours, unit="ms", bar="≤ 8 ms",
            met=ours <= 8, bare=bare, bare_is="bare SDK relay", detail=detail)
    ]  # fmt: skip


def at_once(stage: Stage, *, rounds: int = 5) -> list[Row]:
    """Fifty sends in the same instant."""
    everyone = people(STREAMS)

    async def run() -> dict[str, list[list[Answer]]]:
        seen: dict[str, list[list[Answer]]] = {"direct": [], "bare": [], "ours": []}
        tabs = {"bare": await sockets(stage.bare, everyone), "ours": await sockets(stage.webs[0], everyone)}
        await asyncio.sleep(0.5)
        for number in range(rounds + 1):
            for way in seen:
                texts = [question(deltas=20, between=0.02) for _ in everyone]
                answers = await (
                    ask_directly(stage.provider_port, texts) if way == "direct" else ask_all(tabs[way], texts)
                )
                if number:
                    seen[way].append(answers)
                await asyncio.sleep(0.5)
        for opened in tabs.values():
            close(opened)
        return seen

    seen = asyncio.run(run())
    firsts = {way: [answer.first * 1000 for answer in itertools.chain(*answers)] for way, answers in seen.items()}
    base = median(firsts["direct"])
    p50 = {way: median(values) - base for way, values in firsts.items()}
    p95 = {way: percentile(values, 0.95) - percentile(firsts["direct"], 0.95) for way, values in firsts.items()}
    started = [(answer.started_at - answer.sent_at) * 1000 for answer in itertools.chain(*seen["ours"])]
    detail = {
        "direct_ms": base,
        "ours_started_p50_ms": median(started),
        "ours_started_p95_ms": percentile(started, 0.95),
    }
    return [
        Row(name="first50", what="first delta, added over direct, 50 at once, p50", ours=p50["ours"], unit="ms",
            bar="≤ 200 ms", met=p50["ours"] <= 200, bare=p50["bare"], bare_is="bare SDK relay", detail=detail),
        Row(name="first50_p95", what="the same, p95", ours=p95["ours"], unit="ms", bar="≤ 400 ms",
            met=p95["ours"] <= 400, bare=p95["bare"], bare_is="bare SDK relay"),
    ]  # fmt: skip
