"""The chat page in a browser: long answers, what moves, and how fast pages open."""

from __future__ import annotations

import gzip
from pathlib import Path

from playwright.sync_api import BrowserContext

from benchmarks.browsing import answered, browsing, longest_task, opened, seen
from benchmarks.figures import Row, median
from benchmarks.markdown import answer
from benchmarks.people import Person, people
from benchmarks.stage import Stage
from deploy.cluster.product import Web
from deploy.local.prepare import collect_static
from deploy.processes import ROOT
from tests.provider import Script

LENGTH, HALF = 200_000, 100_000  # characters
SLOWER = 4
TRACED = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
OPENINGS = 15


def measure(stage: Stage) -> list[Row]:
    """All rows of the page, in one process of its own that names no conversations."""
    collect_static()
    with stage.fresh_web(CHAT_TITLES="false") as web:
        rows = [*_growing(stage, web), _shift(stage, web), *_opening(stage, web)]
    return [*rows, *_weights()]


def _growing(stage: Stage, web: Web) -> list[Row]:
    took, half = (median(_streamed(stage, web, length)[0] for _ in range(3)) for length in (LENGTH, HALF))
    slowed = [_streamed(stage, web, LENGTH, slower=SLOWER) for _ in range(3)]
    task, clock = (max(run[place] for run in slowed) for place in (1, 2))
    _, plain, _ = _streamed(stage, web, LENGTH, slower=SLOWER, text="word " * (LENGTH // 5))
    return [
        Row(name="page_reply", what=f"a reply of {LENGTH:,} characters in 10-character deltas, on the page", ours=took,
            unit="ms", bar=f"≤ 2.2 × one of {HALF:,}", met=took <= 2.2 * half, bare=half, bare_is=f"one of {HALF:,}"),
        Row(name="page_task", what=f"the page's longest task in three of it, {SLOWER} × slower, processor time",
            ours=task, unit="ms", bar="≤ 50 ms", met=task <= 50,
            detail={"by_the_clock_ms": clock, "one_paragraph_ms": plain}),
    ]  # fmt: skip


def _streamed(
    stage: Stage, web: Web, length: int, *, slower: int = 1, text: str | None = None
) -> tuple[float, float, float]:
    """Milliseconds of a whole reply, and of its longest task where the page is slowed down."""
    (person,) = people(1)
    stage.provider.enqueue(Script(text=text or answer(length), delta_size=10, ignore_cap=True))
    with browsing(web, person.user) as context:
        page = opened(context, _address(web, person), slower=slower)
        assert context.browser is not None
        if slower == 1:
            return answered(page, "Go on"), 0.0, 0.0
        context.browser.start_tracing(page=page, categories=TRACED)
        took = answered(page, "Go on")
        return took, *longest_task(context.browser.stop_tracing())


def _shift(stage: Stage, web: Web) -> Row:
    (person,) = people(1)
    stage.provider.enqueue(Script(text=answer(8_000), delta_size=10, delay_between=0.005, ignore_cap=True))
    with browsing(web, person.user) as context:
        page = opened(context, _address(web, person))
        answered(page, "Go on")
        shift = seen(page)["shift"]
    return Row(name="page_shift", what="layout shift over a whole streamed reply", ours=shift, unit="", bar="≤ 0.02",
               met=shift <= 0.02)  # fmt: skip


def _opening(stage: Stage, web: Web) -> list[Row]:
    short, long = (people(1, messages=count)[0] for count in (50, 2_000))
    opens, sends = [], []
    for person in (short, long):
        with browsing(web, person.user) as context:
            opens.append(_opened(context, _address(web, person)))
            page = opened(context, _address(web, person))
            script = Script(text="Short.", ignore_cap=True)
            stage.provider.enqueue(*[script] * (OPENINGS + 1))
            answered(page, "Warm up")
            sends.append(median(answered(page, "Go on") for _ in range(OPENINGS)))
    (server, paint), (long_server, _) = opens
    return [
        Row(name="page_server", what="chat page with 50 messages, the server's time", ours=server, unit="ms",
            bar="≤ 80 ms", met=server <= 80),
        Row(name="page_paint", what="its largest contentful paint", ours=paint, unit="ms", bar="≤ 400 ms",
            met=paint <= 400),
        Row(name="page_long_open", what="opening a conversation of 2,000 messages", ours=long_server, unit="ms",
            bar="≤ 1.3 × one of 50", met=long_server <= 1.3 * server, bare=server, bare_is="one of 50"),
        Row(name="page_long_send", what="sending there, to the answer's end", ours=sends[1], unit="ms",
            bar="≤ 1.3 × one of 50", met=sends[1] <= 1.3 * sends[0], bare=sends[0], bare_is="one of 50"),
    ]  # fmt: skip


def _opened(context: BrowserContext, address: str) -> tuple[float, float]:
    """Milliseconds, in the middle, from the request to the page's first byte, and to its largest paint."""
    server, paint = [], []
    for number in range(OPENINGS + 2):
        page = opened(context, address)
        if number >= 2:
            script = "(([one]) => one.responseStart - one.requestStart)(performance.getEntriesByType('navigation'))"
            server.append(float(page.evaluate(script)))
            paint.append(float(seen(page)["paint"]))
        page.close()
    return median(server), median(paint)


def _weights() -> list[Row]:
    """What is sent, compressed; every script counted, also those of other pages."""
    static = ROOT / "static"
    scripts = _size([*static.glob("js/*.js")])
    style = _size([static / "look.css"])
    return [
        Row(name="page_scripts", what="JavaScript, compressed", ours=scripts, unit="KB", bar="≤ 40 KB",
            met=scripts <= 40),
        Row(name="page_style", what="CSS, compressed", ours=style, unit="KB", bar="≤ 15 KB", met=style <= 15),
    ]  # fmt: skip


def _size(files: list[Path]) -> float:
    return sum(len(gzip.compress(file.read_bytes())) for file in files) / 1024


def _address(web: Web, person: Person) -> str:
    return f"{web.url}/c/{person.conversation_id}/"
