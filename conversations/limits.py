"""Limits on how often a person and an address may send; counters by django-ratelimit in the cache."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django_ratelimit.core import get_usage

from accounts.errors import Refusal
from accounts.models import User
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


def take(*, user: User, address: str, tier: str) -> Allowance:
    """Count one message for its sender and their address; the tightest counter afterwards.

    Raises RateLimited. All counters are looked at before any is counted, so that a refusal by one
    uses up none of another.
    """
    counters = [("user", str(user.pk), settings.CHAT_RATE), ("address", address, settings.CHAT_RATE_IP)]
    if tier == Tier.SMART:
        counters.append(("smart", str(user.pk), settings.CHAT_RATE_SMART))
    for group, value, rate in counters:
        _check(_usage(group, value, rate, increment=False), taking=1)
    return min(
        (_check(_usage(group, value, rate, increment=True), taking=0) for group, value, rate in counters),
        key=lambda allowance: (allowance.remaining, -allowance.reset),
    )


def take_quote(*, user: User) -> Allowance:
    """Count one quote. Raises RateLimited; quotes cost no money and share no counter with messages."""
    return _check(_usage("quote", str(user.pk), settings.CHAT_RATE_QUOTE, increment=True), taking=0, what="quotes")


def _usage(group: str, value: str, rate: str, *, increment: bool) -> dict[str, int]:
    usage: dict[str, int] = get_usage(
        None, group=f"send.{group}", key=lambda *_: f"{group}:{value}", rate=rate, increment=increment
    )
    return usage


def _check(usage: dict[str, int], *, taking: int, what: str = "messages") -> Allowance:
    reset = max(1, usage["time_left"])
    allowance = Allowance(limit=usage["limit"], remaining=max(0, usage["limit"] - usage["count"]), reset=reset)
    if usage["count"] + taking > usage["limit"]:
        raise RateLimited(
            f"That was more than {usage['limit']} {what} in a short time. Try again in {reset} s.",
            retry_after=reset,
            allowance=allowance,
        )
    return allowance
