"""Tokens × price → cost. Pure: no database, no clock, no settings."""

from dataclasses import dataclass
from typing import Protocol

from billing import money


class Rates(Protocol):
    """What a price says, in nano-dollars per million tokens."""

    input_price: int
    cached_input_price: int
    cache_write_price: int
    output_price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A call's token counts. Input includes cached and cache-write tokens, output includes reasoning."""

    input: int
    output: int
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0


def cost(*, tokens: Tokens, rates: Rates) -> int:
    """What a call costs, in nano-dollars, rounded once, half to even."""
    plain = tokens.input - tokens.cached_input - tokens.cache_write
    amount = (
        plain * rates.input_price
        + tokens.cached_input * rates.cached_input_price
        + tokens.cache_write * rates.cache_write_price
        + tokens.output * rates.output_price
    )
    return money.divide_half_even(amount, money.TOKENS_PER_PRICE)


def worst_case(*, input_tokens: int, output_tokens: int, rates: Rates) -> int:
    """The most that a call can cost, in nano-dollars, rounded up: every input token at its dearest rate."""
    dearest = max(rates.input_price, rates.cached_input_price, rates.cache_write_price)
    return money.divide_up(input_tokens * dearest + output_tokens * rates.output_price, money.TOKENS_PER_PRICE)


def affordable_output(*, input_tokens: int, nano: int, rates: Rates, cap: int) -> int:
    """The largest output cap, at most `cap`, whose worst case is within `nano`; negative where none is."""
    dearest = max(rates.input_price, rates.cached_input_price, rates.cache_write_price)
    room = nano * money.TOKENS_PER_PRICE - input_tokens * dearest
    if room < 0:
        return -1
    if rates.output_price == 0:
        return cap
    return min(cap, room // rates.output_price)
