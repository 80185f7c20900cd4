"""Nano-dollars: integers inside, Decimal at the edges, and the only rounding there is."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

NANO_PER_DOLLAR = 1_000_000_000
TOKENS_PER_PRICE = 1_000_000
LARGEST = 10**18  # a billion dollars: the most that anybody can type as an amount, a limit or a rate

_EXACT = Context(prec=60)


def to_nano(dollars: Decimal) -> int:
    """Dollars as nano-dollars; ValueError where they are finer than a nano-dollar."""
    nano = _EXACT.multiply(dollars, NANO_PER_DOLLAR)
    if nano != nano.to_integral_value():
        raise ValueError(f"{dollars} is finer than a nano-dollar")
    return int(nano)


def to_dollars(nano: int) -> Decimal:
    """Nano-dollars as dollars, exact."""
    return _EXACT.divide(Decimal(nano), Decimal(NANO_PER_DOLLAR))


def to_json(nano: int) -> str:
    """Dollars as the API writes them: a plain decimal string, at least two decimals, nothing rounded."""
    text = f"{to_dollars(nano):f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def divide_half_even(amount: int, divisor: int) -> int:
    """An integer quotient, rounded half to even."""
    whole, rest = divmod(amount, divisor)
    return whole + (2 * rest > divisor or (2 * rest == divisor and whole % 2))


def divide_up(amount: int, divisor: int) -> int:
    """An integer quotient, rounded up."""
    return -(-amount // divisor)


def shown(nano: int, *, places: int, up: bool) -> str:
    """Dollars for people, `$0.00032`: what one may pay rounds up, what is left rounds down."""
    step = Decimal(1).scaleb(-places)
    rounded = to_dollars(nano).quantize(step, ROUND_CEILING if up else ROUND_FLOOR)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):,f}"
