"""How long something takes by this machine's own pace, which tests may hold against a bound; seconds they may not."""

from __future__ import annotations

import time
from collections.abc import Callable

STEPS = 1_000_000


def paces(work: Callable[[], object]) -> float:
    """Processor time of some work, in that of a plain loop of a million steps run just before and just after it."""
    before = seconds(_loop)
    took = seconds(work)
    return took / max(before, seconds(_loop))


def _loop() -> None:
    for _ in range(STEPS):
        pass


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work, for comparing it with other work of the same moment."""
    started = time.process_time()
    work()
    return time.process_time() - started
