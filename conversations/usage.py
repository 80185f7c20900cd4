"""A call's token counts: as the provider says, else counted from the text."""

from typing import Any

from billing.pricing import Tokens
from conversations.tokens import Tokenizer

LARGEST = 2**31 - 1


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
    tokens = Tokens(**counts)
    if tokens.cached_input + tokens.cache_write > tokens.input or tokens.reasoning > tokens.output:
        return None
    return tokens


def estimated(*, input_bound: int, text: str, output_cap: int, tokenizer: Tokenizer) -> Tokens:
    """The counts of a call whose usage never came: the prompt as it was held, the text as far as it came."""
    return Tokens(input=input_bound, output=min(tokenizer.count(text), output_cap))
