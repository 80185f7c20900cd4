"""Frames: how often a reply's text moves, from the provider to the log and to whoever follows it.

A frame is read, logged and announced as one, whatever number of deltas came in it. So what streams cost
grows with the frames in a second and hardly with the tokens. The more replies a process writes, the longer
its frames are: it gets slower by tens of milliseconds where it would otherwise fall behind without end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

SHORTEST = 0.03  # seconds; what one reply alone takes
LONGEST = 0.12  # seconds; more is seen as stutter
EACH = 0.0012  # seconds that every further reply adds: twice what a frame costs a core, so that half of it stays free

_running: set[object] = set()


@contextmanager
def counted() -> Iterator[None]:
    """Inside, one more reply is written by this process."""
    one = object()
    _running.add(one)
    try:
        yield
    finally:
        _running.remove(one)


def seconds() -> float:
    """How long a frame is just now."""
    return min(LONGEST, max(SHORTEST, EACH * len(_running)))
