"""Nano-dollars and what tokens cost."""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import money, pricing

pytestmark = pytest.mark.once("embedded")


@dataclass
class Rates:
    input_price: int
    cached_input_price: int
    cache_write_price: int
    output_price: int
    extra_rates: dict[str, int] = field(default_factory=dict)


GPT_4O_MINI = Rates(150_000_000, 75_000_000, 150_000_000, 600_000_000)
prices = st.integers(0, 10**12)
rates = st.builds(Rates, prices, prices, prices, prices)
counts = st.integers(0, 2_000_000)


def test_a_call_costs_what_the_price_list_says() -> None:
    tokens = pricing.Tokens(input=1000, cached_input=400, output=200, reasoning=150)
    # 600 × $0.15 + 400 × $0.075 + 200 × $0.60, per million
    assert money.to_dollars(pricing.cost(tokens=tokens, rates=GPT_4O_MINI)) == Decimal("0.00024")


@pytest.mark.parametrize(("amount", "expected"), [(5, 0), (15, 2), (25, 2), (26, 3), (35, 4), (-5, 0), (-15, -2)])
def test_halves_are_rounded_to_even(amount: int, expected: int) -> None:
    assert money.divide_half_even(amount, 10) == expected


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**7))
def test_rounding_is_that_of_decimal(amount: int, divisor: int) -> None:
    whole, rest = divmod(amount, divisor)
    exact = Decimal(rest).scaleb(0) / Decimal(divisor) if 2 * rest != divisor else Decimal("0.5")
    expected = whole + int((Decimal(whole % 2) + exact).quantize(Decimal(1), ROUND_HALF_EVEN)) - whole % 2
    assert money.divide_half_even(amount, divisor) == expected


@given(rates=rates, taken=counts, given_out=counts, data=st.data())
def test_no_call_within_its_bounds_costs_more_than_the_worst_case(
    rates: Rates, taken: int, given_out: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, taken))
    written = data.draw(st.integers(0, taken - cached))
    tokens = pricing.Tokens(input=taken, output=given_out, cached_input=cached, cache_write=written)
    worst = pricing.worst_case(input_tokens=taken, output_tokens=given_out, rates=rates)
    assert pricing.cost(tokens=tokens, rates=rates) <= worst


@given(rates=rates, taken=counts, nano=st.integers(0, 10**16), cap=st.integers(1, 100_000))
def test_the_affordable_output_is_the_most_that_fits(rates: Rates, taken: int, nano: int, cap: int) -> None:
    found = pricing.affordable_output(input_tokens=taken, nano=nano, rates=rates, cap=cap)
    assert found <= cap
    if found >= 0:
        assert pricing.worst_case(input_tokens=taken, output_tokens=found, rates=rates) <= nano
    if found < cap:
        assert pricing.worst_case(input_tokens=taken, output_tokens=found + 1, rates=rates) > nano


@given(st.integers(-(10**18), 10**18))
def test_json_money_is_exact(nano: int) -> None:
    text = money.to_json(nano)
    assert money.to_nano(Decimal(text)) == nano
    assert "E" not in text
    assert len(text.partition(".")[2]) >= 2


def test_finer_than_a_nano_dollar_is_refused() -> None:
    with pytest.raises(ValueError, match="finer"):
        money.to_nano(Decimal("0.0000000001"))


def test_what_people_see_is_never_too_kind() -> None:
    assert money.shown(1_234_000, places=4, up=True) == "$0.0013"
    assert money.shown(1_234_000, places=4, up=False) == "$0.0012"
    assert money.shown(-5_000_000_000, places=2, up=False) == "-$5.00"
    assert money.shown(-3_000_000, places=2, up=True) == "$0.00"
