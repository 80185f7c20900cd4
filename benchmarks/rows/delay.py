"""By how much a delta is late with 150 streams on one web process, alone and among readers that don't read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import psycopg

from benchmarks import proc
from benchmarks.figures import Row, median, percentile
from benchmarks.people import Person, people
from benchmarks.sockets import Socket
from benchmarks.stage import Stage
from benchmarks.talks import ask_directly, close, delays, question, sockets

STREAMS, PER_SECOND, SECONDS, SLEEPERS = 150, 50, 20, 100
BETWEEN = 1 / PER_SECOND
APART = 0.06  # seconds between two sends: many at the same instant are another row


async def round_of(stage: Stage, everyone: Sequence[Person]) -> tuple[list[float], float]:
    """Delays in milliseconds of the deltas while all streams run, and how many cores the web process used then."""
    web = stage.webs[0]
    tabs = await sockets(web, everyone)
    texts = [question(deltas=PER_SECOND * SECONDS, between=BETWEEN) for _ in everyone]
    waiting = []
    for tab, text in zip(tabs, texts, strict=True):
        waiting.append(asyncio.create_task(tab.whole(text, seconds=300)))
        await asyncio.sleep(APART)
    await asyncio.sleep(1)
    since, before = time.monotonic(), proc.cpu_seconds(web.pid)
    await asyncio.sleep(SECONDS - STREAMS * APART - 3)
    until, used = time.monotonic(), proc.cpu_seconds(web.pid) - before
    answers = await asyncio.gather(*waiting)
    bill = await asyncio.to_thread(lambda: stage.provider.bill)
    close(tabs)
    found = delays(answers, bill.rows, between=BETWEEN, since=since, until=until)
    return [delay * 1000 for delay in found], used / (until - since)


async def floor(stage: Stage) -> list[float]:
    """The same without us: how late the provider and this client are by themselves."""
    texts = [question(deltas=PER_SECOND * 5, between=BETWEEN, first=1 + n / STREAMS) for n in range(STREAMS)]
    answers = await ask_directly(stage.provider_port, texts)
    bill = await asyncio.to_thread(lambda: stage.provider.bill)
    return [delay * 1000 for delay in delays(answers, bill.rows, between=BETWEEN)]


@contextlib.asynccontextmanager
async def slow_query(stage: Stage, person: Person) -> AsyncIterator[None]:
    """Inside the block the web process always has a query under way that takes half a second.

    It waits for a person's account, which is locked here while that person sends.
    """
    web, database = stage.webs[0], stage.postgresql.url()

    async def again_and_again() -> None:
        tab = (await sockets(web, [person]))[0]
        async with await psycopg.AsyncConnection.connect(database) as connection:
            while True:
                async with connection.transaction():
                    await connection.execute(
                        "SELECT 1 FROM billing_account WHERE user_id = %s FOR UPDATE", [person.user.pk]
                    )
                    tab.ask(question(deltas=1, between=0, first=0))
                    await asyncio.sleep(0.5)
                assert tab.done is not None
                await tab.done

    (tab,) = await sockets(web, [person])
    await tab.whole(question(deltas=1, between=0, first=0))  # the account's row is there now
    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        tab.close()


@contextlib.asynccontextmanager
async def sleepers(stage: Stage, everyone: Sequence[Person]) -> AsyncIterator[None]:
    """Inside the block, more tabs of these people's conversations are open, and read nothing."""
    tabs: list[Socket] = await sockets(stage.webs[0], everyone)
    for tab in tabs:
        tab.sleep()
    try:
        yield
    finally:
        close(tabs)


def measure(stage: Stage) -> list[Row]:
    """The plain row, and the same beside sleepers and a slow query."""
    everyone, slow = people(STREAMS), people(1)[0]

    async def run() -> tuple[list[float], list[float], list[float], list[float]]:
        direct = await floor(stage)
        plain, first_share = await round_of(stage, everyone)
        async with sleepers(stage, everyone[:SLEEPERS]), slow_query(stage, slow):
            beside, second_share = await round_of(stage, everyone)
        return direct, plain, beside, [first_share, second_share]

    direct, plain, beside, shares = asyncio.run(run())
    p99, p99_beside = percentile(plain, 0.99), percentile(beside, 0.99)
    detail = {
        "p50_ms": median(plain), "web_cores": shares[0], "direct_p99_ms": percentile(direct, 0.99),
        "deltas": len(plain),
    }  # fmt: skip
    return [
        Row(name="delay", what=f"{STREAMS} streams of {PER_SECOND} tokens/s, one web process, p99 delay of a delta",
            ours=p99, unit="ms", bar="≤ 150 ms", met=p99 <= 150, bare=detail["direct_p99_ms"], bare_is="direct",
            detail=detail),
        Row(name="delay_beside", what=f"the same with {SLEEPERS} stalled readers and a 500 ms query in a loop",
            ours=p99_beside, unit="ms", bar="≤ 1.5 × the row above", met=p99_beside <= 1.5 * p99, bare=p99,
            bare_is="the row above", detail={"p50_ms": median(beside), "web_cores": shares[1]}),
    ]  # fmt: skip
