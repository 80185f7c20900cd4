"""Fit a question, with what lies above it, into its model's limit: one way for a quote and for a send."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings

from billing.prices import Price
from conversations import branch, context
from conversations.branch import Above
from conversations.models import Message
from conversations.tokens import Tokenizer, tokenizer


def fit(
    *,
    system_prompt: str,
    parent: Message | None,
    content: str,
    tokens: int,
    price: Price,
    above: Iterable[Message | Above] | None = None,
) -> context.Context:
    """What is sent for a question below `parent`, whose content has `tokens` by the price's tokenizer.

    Reads no more of the branch than fits, and writes nothing. `above`: the parent and what lies above it,
    the newest first, where some of it is read already. Raises MessageTooLong.
    """
    words = tokenizer(price.tokenizer)
    limit = min(settings.CHAT_PROMPT_TOKENS, price.context_window - settings.CHAT_MAX_OUTPUT_TOKENS)
    branch_above = branch.lineage(parent) if above is None else above
    return context.fit(
        system_prompt=system_prompt,
        newest_first=(_entry(message, words, limit) for message in branch_above),
        message=context.Entry(role=Message.Role.USER, content=content, tokens=tokens),
        depth=0 if parent is None else parent.depth + 1,
        limit=limit,
        tokenizer=words,
    )


def tokens_of(message: Message | Above, words: Tokenizer, *, most: int | None = None) -> int:
    """The tokens of a message's content; counted anew, as far as `most`, only where another tokenizer counted it."""
    return message.token_count if message.tokenizer == words.name else words.count(message.content, most=most)


def _entry(message: Message | Above, words: Tokenizer, limit: int) -> context.Entry:
    return context.Entry(role=message.role, content=message.content, tokens=tokens_of(message, words, most=limit))
