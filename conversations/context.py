"""Fit a branch into a token limit. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.errors import Refusal
from conversations.tokens import Tokenizer


class MessageTooLong(Refusal):
    """The new message alone, with the system prompt, is more than the model may be sent."""

    code, status = "message_too_long", 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message as the model sees it, with the tokens of its content."""

    role: str
    content: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is sent: system prompt first, the new message last."""

    entries: tuple[Entry, ...]
    prompt_tokens: int
    limit: int
    included: int
    dropped: int

    def as_messages(self) -> list[dict[str, str]]:
        """The provider's `messages`."""
        return [{"role": entry.role, "content": entry.content} for entry in self.entries]

    def as_json(self) -> dict[str, int]:
        """The API's `context` object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "limit": self.limit,
            "included_messages": self.included,
            "dropped_messages": self.dropped,
        }


def fit(
    *,
    system_prompt: str,
    newest_first: Iterable[Entry],
    message: Entry,
    depth: int,
    limit: int,
    tokenizer: Tokenizer,
) -> Context:
    """The new message with as much of its branch as the limit takes, the oldest dropped first.

    A question goes only with its answer and an answer only with its question. `newest_first` is read
    no further than the window reaches. `depth` is how many messages lie above the new one. Raises
    MessageTooLong.
    """
    start = (
        [Entry(role="system", content=system_prompt, tokens=tokenizer.count(system_prompt))] if system_prompt else []
    )
    used = tokenizer.per_request + sum(entry.tokens + tokenizer.per_message for entry in [*start, message])
    if used > limit:
        raise MessageTooLong(
            _("The message is too long: %(used)s tokens, and the limit is %(limit)s. Shorten it and send it again.")
            % {"used": f"{used:,}", "limit": f"{limit:,}"},
            token_count=used,
            limit=limit,
        )
    window: list[Entry] = []
    exchange: list[Entry] = []
    needed = 0
    for entry in newest_first:
        exchange.insert(0, entry)
        needed += entry.tokens + tokenizer.per_message
        if entry.role != "user":
            if used + needed > limit:
                break  # what came from elsewhere may have thousands of answers in a row
            continue
        answered = len(exchange) > 1 and all(part.content for part in exchange)
        if answered:
            if used + needed > limit:
                break
            used += needed
            window = exchange + window
        exchange, needed = [], 0
    return Context(
        entries=(*start, *window, message),
        prompt_tokens=used,
        limit=limit,
        included=len(window) + 1,
        dropped=depth - len(window),
    )
