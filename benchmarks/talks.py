"""Whole talks: sockets of many people opened, asked at once, and checked against what the provider said."""

from __future__ import annotations

import asyncio
import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence

from benchmarks.direct import Direct
from benchmarks.people import Person
from benchmarks.sockets import Answer, Socket
from deploy.cluster.product import Web
from tests.provider import Row, Script

_seeds = itertools.count(1)


def question(*, deltas: int, between: float, first: float = 0.05) -> str:
    """A message that makes the provider say so many deltas of 6 characters, other ones each time."""
    seed = next(_seeds)
    script = Script(delta_count=deltas, delta_size=6, delay_first=first, delay_between=between, seed=seed)
    return f"Question {seed}. {script.directive()}"


async def sockets(web: Web, everyone: Sequence[Person]) -> list[Socket]:
    """A socket each, ten at a time."""
    room = asyncio.Semaphore(10)

    async def one(person: Person) -> Socket:
        async with room:
            return await Socket.connect(web.port, person.path, person.token)

    return list(await asyncio.gather(*(one(person) for person in everyone)))


async def ask_all(tabs: Sequence[Socket], questions: Sequence[str], *, seconds: float = 120) -> list[Answer]:
    """All at the same instant; their answers, whole."""
    return list(
        await asyncio.gather(*(tab.whole(text, seconds=seconds) for tab, text in zip(tabs, questions, strict=True)))
    )


async def ask_directly(port: int, questions: Sequence[str]) -> list[Answer]:
    """The provider itself, or what speaks like it at another port, all at the same instant."""
    return list(await asyncio.gather(*(Direct.ask(port, text) for text in questions)))


def checked(answers: Sequence[Answer], rows: Sequence[Row]) -> list[tuple[Answer, Row]]:
    """Each answer with the provider's row of it; RuntimeError where a text is not what the provider sent."""
    by_text = {row.text: row for row in rows}
    pairs = [(answer, by_text.get("".join(answer.text))) for answer in answers]
    wrong = sum(row is None for _, row in pairs)
    if wrong:
        how = Counter(answer.status for answer, row in pairs if row is None)
        raise RuntimeError(f"{wrong} of {len(pairs)} answers are not what the provider said: {dict(how)}.")
    return [(answer, row) for answer, row in pairs if row is not None]


def delays(
    answers: Sequence[Answer], rows: Sequence[Row], *, between: float, since: float = 0.0, until: float = math.inf
) -> list[float]:
    """Seconds by which each delta came later than the provider was to send it, of those due in a span of time."""
    found: list[float] = []
    for answer, row in checked(answers, rows):
        assert row.first_delta_at is not None
        index = 0
        for instant, end in answer.arrivals:
            while (index + 1) * 6 <= end:
                due = row.first_delta_at + index * between
                if since <= due <= until:
                    found.append(instant - due)
                index += 1
    return found


def close(tabs: Sequence[Socket]) -> None:
    """Drop all."""
    for tab in tabs:
        tab.close()


def spread(values: Sequence[float]) -> list[float]:
    """The lowest, the middle and the highest of several rounds."""
    return [min(values), statistics.median(values), max(values)]
