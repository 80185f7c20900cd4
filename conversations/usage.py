"""A call's token counts: as the provider says, else counted from the text."""

from collections.abc import Iterator
from typing import Any

from billing.pricing import Tokens
from conversations.tokens import Tokenizer

LARGEST = 2**31 - 1
MOST_CLASSES = 20  # without a field of their own

# Counts that are fields of ours, or sums of others, or charged as plain tokens of their side.
_OURS = {"prompt_tokens", "completion_tokens", "total_tokens"}
_INPUT = {"cached_tokens", "cache_write_tokens", "text_tokens"}
_OUTPUT = {"reasoning_tokens", "text_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"}


def measured(usage: dict[str, Any] | None) -> Tokens | None:
    """The provider's usage object as counts; None where it is missing or cannot be true."""
    if usage is None:
        return None
    prompt_details = usage.get("prompt_tokens_details") or {}
    completion_details = usage.get("completion_tokens_details") or {}
    if not isinstance(prompt_details, dict) or not isinstance(completion_details, dict):
        return None
    counts: dict[str, Any] = {
        "input": usage.get("prompt_tokens"),
        "output": usage.get("completion_tokens"),
        "cached_input": prompt_details.get("cached_tokens") or 0,
        "cache_write": prompt_details.get("cache_write_tokens") or 0,
        "reasoning": completion_details.get("reasoning_tokens") or 0,
    }
    if not all(type(count) is int and 0 <= count <= LARGEST for count in counts.values()):
        return None
    extra = [
        *_others("input", prompt_details, known=_INPUT),
        *_others("output", completion_details, known=_OUTPUT),
        *_others("other", usage, known=_OURS | {"prompt_tokens_details", "completion_tokens_details"}),
    ]
    tokens = Tokens(**counts, extra=dict(extra[:MOST_CLASSES]))
    if not tokens.input:  # every prompt has tokens: a server that says none has not counted
        return None
    if tokens.cached_input + tokens.cache_write > tokens.input or tokens.reasoning > tokens.output:
        return None
    return tokens


def estimated(*, input_bound: int, text: str, output_cap: int, tokenizer: Tokenizer) -> Tokens:
    """The counts of a call whose usage never came: the prompt as it was held, the text as far as it came.

    Where the tokenizer is only a bound, it is not let above the cap, which the text cannot have passed; an
    exact count that is above it is the truth, and the ledger flags it.
    """
    count = tokenizer.count(text)
    return Tokens(input=input_bound, output=count if tokenizer.exact else min(count, output_cap))


def _others(name: str, details: dict[str, Any], *, known: set[str]) -> Iterator[tuple[str, int]]:
    """Counts of token classes that came since this was written: `audio_tokens` of the input is `input.audio`."""
    for key, value in details.items():
        if key in known:
            continue
        if isinstance(value, dict):
            yield from _others(f"{name}.{_short(key)}", value, known={"text_tokens"})
        elif type(value) is int and 0 < value <= LARGEST and key.endswith("_tokens"):
            yield f"{name}.{_short(key)}", value


def _short(key: str) -> str:
    return key[:60].removesuffix("_details").removesuffix("_tokens")
