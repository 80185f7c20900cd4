"""Tokens × price → cost. Pure: no database, no clock, no settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from billing import money


class Rates(Protocol):
    """What a price says, in nano-dollars per million tokens; `extra_rates` by token class."""

    input_price: int
    cached_input_price: int
    cache_write_price: int
    output_price: int
    extra_rates: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A call's token counts. Input includes cached and cache-write tokens, output includes reasoning.

    `extra` counts the classes that have no field, by names such as `input.audio` and `output.audio`,
    which are part of the input and of the output; those of any other side are part of neither.
    """

    input: int
    output: int
    cached_input: int = 0
    cache_write: int = 0
    reasoning: int = 0
    extra: Mapping[str, int] = field(default_factory=dict)

    def negated(self) -> "Tokens":
        """What takes these back."""
        return Tokens(
            input=-self.input,
            output=-self.output,
            cached_input=-self.cached_input,
            cache_write=-self.cache_write,
            reasoning=-self.reasoning,
            extra={name: -count for name, count in self.extra.items()},
        )


class Line(NamedTuple):
    """A part of a cost: tokens of one class at one rate, nano-dollars per million."""

    token_class: str
    quantity: int
    rate: int


def lines(*, tokens: Tokens, rates: Rates) -> list[Line]:
    """What a call's cost is made of; classes without tokens are left out.

    Tokens of a class that the price has no rate for stay with the plain tokens of their side: they are
    never free. `unpriced` names such classes, so that people can look.
    """
    priced = [
        (name, count, rates.extra_rates[name]) for name, count in tokens.extra.items() if name in rates.extra_rates
    ]
    taken = sum(count for name, count, _ in priced if side(name) == "input")
    given = sum(count for name, count, _ in priced if side(name) == "output")
    plain = _rest(tokens.input, tokens.cached_input + tokens.cache_write + taken)
    found = [
        Line("input", plain, rates.input_price),
        Line("cached_input", tokens.cached_input, rates.cached_input_price),
        Line("cache_write", tokens.cache_write, rates.cache_write_price),
        Line("output", _rest(tokens.output, given), rates.output_price),
        *(Line(*line) for line in priced),
    ]
    return [line for line in found if line.quantity]


def cost(*, tokens: Tokens, rates: Rates) -> int:
    """What a call costs, in nano-dollars, rounded once, half to even."""
    if tokens.extra:
        amount = sum(line.quantity * line.rate for line in lines(tokens=tokens, rates=rates))
    else:  # the same, for the many
        amount = (
            (tokens.input - tokens.cached_input - tokens.cache_write) * rates.input_price
            + tokens.cached_input * rates.cached_input_price
            + tokens.cache_write * rates.cache_write_price
            + tokens.output * rates.output_price
        )
    return money.divide_half_even(amount, money.TOKENS_PER_PRICE)


def unpriced(*, tokens: Tokens, rates: Rates) -> list[str]:
    """The classes among a call's extra ones that the price has no rate for, in order."""
    return sorted(name for name, count in tokens.extra.items() if count and name not in rates.extra_rates)


def side(token_class: str) -> str:
    """What a class's tokens are part of: `input`, `output`, or something that is neither."""
    return token_class.partition(".")[0]


def is_covered(token_class: str) -> bool:
    """Whether a hold covers a class: its tokens are a part of the input or of the output, as `input.audio`."""
    return side(token_class) in ("input", "output") and token_class.partition(".")[2] != ""


def worst_case(*, input_tokens: int, output_tokens: int, rates: Rates) -> int:
    """The most that a call can cost, in nano-dollars, rounded up: every token at its side's dearest rate."""
    taken, given = _dearest(rates)
    return money.divide_up(input_tokens * taken + output_tokens * given, money.TOKENS_PER_PRICE)


def affordable_output(*, input_tokens: int, nano: int, rates: Rates, cap: int) -> int:
    """The largest output cap, at most `cap`, whose worst case is within `nano`; negative where none is."""
    taken, given = _dearest(rates)
    room = nano * money.TOKENS_PER_PRICE - input_tokens * taken
    if room < 0:
        return -1
    if given == 0:
        return cap
    return min(cap, room // given)


def _dearest(rates: Rates) -> tuple[int, int]:
    """The dearest rate of an input token and of an output token."""
    taken = (rates.input_price, rates.cached_input_price, rates.cache_write_price, *_extra(rates, "input"))
    return max(taken), max((rates.output_price, *_extra(rates, "output")))


def _extra(rates: Rates, wanted: str) -> Iterator[int]:
    return (rate for name, rate in rates.extra_rates.items() if side(name) == wanted)


def _rest(total: int, parts: int) -> int:
    """What is left of a total; nothing, where the parts overlap so much that they exceed it."""
    return max(0, total - parts) if total >= 0 else min(0, total - parts)
