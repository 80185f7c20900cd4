"""Exact amounts: decimals as text, and a record's cost shared among its token classes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from billing import money
from billing.pricing import Line

NANO_PLACES = 9  # of dollars in nano-dollars
TOKEN_PLACES = 6  # of a million tokens in tokens


def text(amount: int, places: int) -> str:
    """`amount` × 10^-places as a plain decimal: no exponent, no plus sign, no zeros at the end."""
    digits = str(abs(amount)).rjust(places + 1, "0")
    whole, fraction = digits[:-places], digits[-places:].rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"


def shares(*, cost: int, lines: Sequence[Line]) -> list[int]:
    """A record's cost, nano-dollars, shared among its lines: their sum is the cost, each is within a nano-dollar.

    Each gets its product rounded down; what is left goes to the largest remainders. What is taken back is
    shared as it was given.
    """
    if cost < 0 or any(line.quantity < 0 for line in lines):
        given = shares(cost=-cost, lines=[line._replace(quantity=-line.quantity) for line in lines])
        return [-share for share in given]
    parts = [divmod(line.quantity * line.rate, money.TOKENS_PER_PRICE) for line in lines]
    found = [whole for whole, _ in parts]
    left = cost - sum(found)
    by_remainder = sorted(range(len(parts)), key=lambda place: (-parts[place][1], place))
    for place in by_remainder[: max(0, left)]:
        found[place] += 1
    found[by_remainder[0]] += cost - sum(found)
    return found
