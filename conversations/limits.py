"""Limits on how often a person and an address may send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.errors import Refusal
from accounts.models import User
from conversations import counters
from conversations.counters import Counter
from conversations.models import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How one counter stands: requests, and seconds until it starts again."""

    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """RateLimit fields (draft-ietf-httpapi-ratelimit-headers-06)."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class RateLimited(Refusal):
    """Too many messages in a short time, or too many replies at once."""

    code, status = "rate_limited", 429

    def __init__(self, message: str, *, retry_after: int, allowance: Allowance | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.allowance = allowance

    def headers(self) -> dict[str, str]:
        """Retry-After, and how the counter stands that refused."""
        return {**super().headers(), **(self.allowance.headers() if self.allowance else {})}


@contextmanager
def counted(*, user: User, address: str, tier: str) -> Iterator[Allowance]:
    """Count one message for its sender and their address; the tightest counter afterwards.

    Raises RateLimited. That, or any error inside, gives back what was counted: a refusal uses up nothing.
    """
    wanted = _of_message(user, address, tier)
    taken = counters.add(wanted, 1)
    try:
        sentence = _("That was more than %(limit)d messages in a short time. Try again in %(seconds)d s.")
        yield _within(wanted, taken, sentence)
    except BaseException as error:
        left = counters.add(wanted, -1)
        if isinstance(error, RateLimited) and error.allowance is None:  # what refused is no counter
            error.allowance = _tightest(wanted, left)
        raise


def standing(*, user: User, address: str, tier: str) -> Allowance:
    """The tightest counter of those that a message is counted by, as it stands; nothing is counted."""
    wanted = _of_message(user, address, tier)
    return _tightest(wanted, counters.add(wanted, 0))


def take_quote(*, user: User) -> Allowance:
    """Count one quote. Raises RateLimited; quotes cost no money and share no counter with messages."""
    wanted = [counters.counter(group="send.quote", value=f"quote:{user.pk}", rate=settings.CHAT_RATE_QUOTE)]
    sentence = _("That was more than %(limit)d quotes in a short time. Try again in %(seconds)d s.")
    return _within(wanted, counters.add(wanted, 1), sentence)


def _of_message(user: User, address: str, tier: str) -> list[Counter]:
    wanted = [
        counters.counter(group="send.user", value=f"user:{user.pk}", rate=settings.CHAT_RATE),
        counters.counter(group="send.address", value=f"address:{address}", rate=settings.CHAT_RATE_IP),
    ]
    if tier == Tier.SMART:
        wanted.append(counters.counter(group="send.smart", value=f"smart:{user.pk}", rate=settings.CHAT_RATE_SMART))
    return wanted


def _within(wanted: Sequence[Counter], taken: Sequence[int], sentence: str) -> Allowance:
    """The tightest; RateLimited by the first that has been passed."""
    for one, count in zip(wanted, taken, strict=True):
        if count > one.limit:
            allowance = _allowance(one, count)
            said = sentence % {"limit": allowance.limit, "seconds": allowance.reset}
            raise RateLimited(said, retry_after=allowance.reset, allowance=allowance)
    return _tightest(wanted, taken)


def _tightest(wanted: Sequence[Counter], taken: Sequence[int]) -> Allowance:
    found = [_allowance(one, count) for one, count in zip(wanted, taken, strict=True)]
    return min(found, key=lambda allowance: (allowance.remaining, -allowance.reset))


def _allowance(one: Counter, count: int) -> Allowance:
    return Allowance(limit=one.limit, remaining=max(0, one.limit - count), reset=one.left)
