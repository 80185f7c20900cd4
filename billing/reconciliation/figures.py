"""Figures that are compared: calls, tokens and cost of one day, one model and one key."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

DAY = timedelta(days=1)


class Group(NamedTuple):
    """What figures are of: a UTC day, a model, a key; empty where they are of all models, or of all keys."""

    day: date
    model: str = ""
    key: str = ""


class Sums(NamedTuple):
    """Signed sums; input includes cached and cache-write tokens, `cost` is in nano-dollars."""

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Sums) -> Sums:
        """What is here beyond the other."""
        return Sums(*(mine - its for mine, its in zip(self, other, strict=True)))

    @property
    def usage(self) -> tuple[int, ...]:
        """Calls and tokens, without the cost."""
        return tuple(self)[:-1]

    @property
    def sound(self) -> bool:
        """Whether a call could have such tokens."""
        parts = (self.cached_input_tokens, self.cache_write_tokens, self.output_tokens)
        return min(parts) >= 0 and self.input_tokens >= self.cached_input_tokens + self.cache_write_tokens


NOTHING = Sums()


class Span(NamedTuple):
    """The part of a UTC day that figures are of: the whole of it, as a rule."""

    start: datetime
    end: datetime

    @property
    def whole(self) -> bool:
        """Whether it is a day from midnight to midnight."""
        return self == day_span(self.start.date())


def day_span(day: date) -> Span:
    """The whole of a UTC day."""
    start = datetime.combine(day, time.min, tzinfo=UTC)
    return Span(start, start + DAY)
