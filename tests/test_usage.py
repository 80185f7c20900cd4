"""The provider's usage object as counts: whatever cannot be true is no measure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from billing.pricing import Tokens
from conversations import usage
from conversations.tokens import tokenizer

pytestmark = pytest.mark.once("embedded")

TRUE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 5, "accepted_prediction_tokens": 0},
}


def test_the_provider_s_own_object() -> None:
    assert usage.measured(TRUE) == Tokens(input=100, output=20, cached_input=40, reasoning=5)


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"prompt_tokens_details": None, "completion_tokens_details": None},
        {"prompt_tokens_details": {}, "completion_tokens_details": {}},
        {"prompt_tokens_details": {"cached_tokens": None}, "completion_tokens_details": {"reasoning_tokens": None}},
        {"prompt_tokens_details": {"cached_tokens": 0}, "service_tier": "default", "cost": "a lot"},
    ],
)
def test_details_may_be_missing(details: dict[str, Any]) -> None:
    assert usage.measured({"prompt_tokens": 7, "completion_tokens": 3, **details}) == Tokens(input=7, output=3)


def test_tokens_written_to_a_cache_are_told_apart() -> None:
    details = {"cached_tokens": 30, "cache_write_tokens": 60}
    assert usage.measured({**TRUE, "prompt_tokens_details": details}) == Tokens(
        input=100, output=20, cached_input=30, cache_write=60, reasoning=5
    )


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        {},
        {"prompt_tokens": 100},
        {"completion_tokens": 20},
        {**TRUE, "prompt_tokens": None},
        {**TRUE, "prompt_tokens": "100"},
        {**TRUE, "prompt_tokens": 100.0},
        {**TRUE, "prompt_tokens": True},
        {**TRUE, "prompt_tokens": -1},
        {**TRUE, "prompt_tokens": 2**31},
        {**TRUE, "prompt_tokens": 10**30},
        {**TRUE, "prompt_tokens": [100]},
        {**TRUE, "completion_tokens": -20},
        {**TRUE, "completion_tokens": "many"},
        {**TRUE, "completion_tokens": float("nan")},
        {**TRUE, "prompt_tokens_details": "none"},
        {**TRUE, "prompt_tokens_details": [1, 2]},
        {**TRUE, "prompt_tokens_details": {"cached_tokens": 101}},
        {**TRUE, "prompt_tokens_details": {"cached_tokens": -1}},
        {**TRUE, "prompt_tokens_details": {"cached_tokens": "40"}},
        {**TRUE, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 60}},
        {**TRUE, "completion_tokens_details": {"reasoning_tokens": 21}},
        {**TRUE, "completion_tokens_details": {"reasoning_tokens": -1}},
        {**TRUE, "completion_tokens_details": 5},
        # every prompt has tokens: a server that says none has not counted
        {**TRUE, "prompt_tokens": 0, "prompt_tokens_details": None},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    ],
)
def test_what_cannot_be_true_is_no_measure(hostile: dict[str, Any] | None) -> None:
    assert usage.measured(hostile) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["cached_tokens", "cache_write_tokens", "reasoning_tokens", "other"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@trials(deadline=None)
@given(st.dictionaries(st.sampled_from([*TRUE, "other"]), anything))
def test_no_object_breaks_it_and_none_that_it_takes_is_impossible(told: dict[str, Any]) -> None:
    tokens = usage.measured(told)
    if tokens is not None:
        assert 0 < tokens.input <= usage.LARGEST
        assert 0 <= tokens.cached_input + tokens.cache_write <= tokens.input
        assert 0 <= tokens.reasoning <= tokens.output <= usage.LARGEST


def test_an_estimate_is_the_held_prompt_and_the_text_that_came() -> None:
    words = tokenizer("o200k_base")
    estimate = usage.estimated(input_bound=50, text="Hello there", output_cap=100, tokenizer=words)
    assert estimate == Tokens(input=50, output=2)
    assert usage.estimated(input_bound=50, text="", output_cap=100, tokenizer=words) == Tokens(input=50, output=0)


def test_an_estimate_by_bytes_is_never_more_than_the_cap_allowed() -> None:
    words = tokenizer("bytes")
    assert usage.estimated(input_bound=50, text="ä" * 400, output_cap=100, tokenizer=words).output == 100
