"""What a socket costs on which nothing happens."""

from __future__ import annotations

import asyncio

from benchmarks import proc
from benchmarks.figures import Row
from benchmarks.people import Person, people
from benchmarks.stage import Bare, Stage
from benchmarks.talks import close, sockets
from deploy.cluster.product import Web

SOCKETS = 1000


def measure(stage: Stage) -> list[Row]:
    """Resident memory of a fresh process before and after a thousand sockets; a hundred before warm it up."""
    everyone = people(100)
    with stage.fresh_web() as web:
        ours = asyncio.run(_kilobytes_each(web, everyone))
    bare = Bare(9, stage.env)
    with bare:
        beside = asyncio.run(_kilobytes_each(bare, everyone))
    return [
        Row(name="idle", what="memory of an idle socket", ours=ours, unit="KB", bar="≤ 40 KB", met=ours <= 40,
            bare=beside, bare_is="bare Channels", detail={"sockets": SOCKETS})
    ]  # fmt: skip


async def _kilobytes_each(web: Web, everyone: list[Person]) -> float:
    warm = await sockets(web, everyone)
    await asyncio.sleep(2)
    before = proc.resident_bytes(web.pid)
    tabs = await sockets(web, everyone * (SOCKETS // len(everyone)))
    await asyncio.sleep(3)
    used = proc.resident_bytes(web.pid) - before
    close([*warm, *tabs])
    return used / SOCKETS / 1024
