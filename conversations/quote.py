"""What a message would cost at most, before it is sent; computed as the road computes it, and nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.errors import NotFound, Refusal
from accounts.models import User
from billing import bounds, budgets, enforcement, money, prices
from billing.prices import Price
from conversations import branch, context, fitting, limits
from conversations.branch import Parent
from conversations.models import Conversation, Message, Tier
from conversations.pool import in_database, in_thread
from conversations.tokens import tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be quoted: a new message, or another answer to the question `regenerate`."""

    user: User
    conversation_id: UUID | None = None
    content: str = ""
    tier: str | None = None
    parent: UUID | Parent | None = Parent.TIP
    regenerate: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a send would do now. `most`, in nano-dollars, bounds what it would hold, whatever room there is then."""

    tier: str
    model: str
    context: dict[str, int]
    most: int
    output_cap: int
    standing: budgets.Standing
    refusal: Refusal | None
    allowance: limits.Allowance  # of quotes, after this one

    def as_json(self) -> dict[str, Any]:
        """The API's quote."""
        return {
            "input_tokens": self.context["prompt_tokens"],
            "max_cost_usd": money.to_json(self.most),
            "fits": self.refusal is None,
            "tier": self.tier,
            "model": self.model,
            "output_cap": self.output_cap,
            "context": self.context,
            "budget": self.standing.as_json(),
            "refusal": None if self.refusal is None else self.refusal.as_error(),
        }


async def quote(ask: Ask, *, now: datetime) -> Quote:
    """Quote a message. Raises NotFound, InvalidRequest, RateLimited or UnpricedModel; any other no is in the quote."""
    place = await in_database(_placed, ask, now)
    tokens = await in_thread(place.count)  # a long text takes a while, and no connection waits for it
    return await in_database(_quoted, ask, place, tokens, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    system_prompt: str
    tier: str
    price: Price
    parent: Message | None
    content: str
    counted: Message | None  # the question, where it is written already
    allowance: limits.Allowance

    def count(self) -> int:
        words = tokenizer(self.price.tokenizer)
        return words.count(self.content) if self.counted is None else fitting.tokens_of(self.counted, words)


def _placed(ask: Ask, now: datetime) -> _Place:
    allowance = limits.take_quote(user=ask.user)
    conversation = _conversation(ask)
    question = None
    if ask.regenerate is not None:
        question = conversation.messages.select_related("parent").filter(pk=ask.regenerate, role="user").first()
        if question is None:
            raise NotFound
    tier = ask.tier or conversation.tier
    return _Place(
        system_prompt=conversation.system_prompt,
        tier=tier,
        price=prices.in_force(model=settings.CHAT_MODELS[tier], now=now),
        parent=question.parent if question else branch.place(conversation, ask.parent) if ask.conversation_id else None,
        content=question.content if question else ask.content,
        counted=question,
        allowance=allowance,
    )


def _conversation(ask: Ask) -> Conversation:
    """The conversation, or one that is not begun yet."""
    if ask.conversation_id is None:
        return Conversation(user=ask.user, tier=Tier.FAST)
    found = Conversation.objects.of(ask.user).filter(pk=ask.conversation_id).first()
    if found is None:
        raise NotFound
    return found


def _quoted(ask: Ask, place: _Place, tokens: int, now: datetime) -> Quote:
    refusal: Refusal | None = None
    try:
        fitted = fitting.fit(
            system_prompt=place.system_prompt,
            parent=place.parent,
            content=place.content,
            tokens=tokens,
            price=place.price,
        )
        said = fitted.as_json()
    except context.MessageTooLong as error:
        refusal = error
        said = {
            "prompt_tokens": error.details["token_count"],
            "limit": error.details["limit"],
            "included_messages": 1,
            "dropped_messages": 0 if place.parent is None else place.parent.depth + 1,
        }
    call = bounds.Call(
        user=ask.user,
        feature="chat",
        price=place.price,
        input_tokens=said["prompt_tokens"],
        output_cap=settings.CHAT_MAX_OUTPUT_TOKENS,
    )
    bound = bounds.bound(call=call, now=now)
    state = enforcement.account_state(user=ask.user, now=now)
    if state.disabled:
        refusal = state.refusal()
    return Quote(
        tier=place.tier,
        model=place.price.model,
        context=said,
        most=bound.most,
        output_cap=bound.output_cap,
        standing=bound.standing,
        refusal=refusal or bound.refusal,
        allowance=place.allowance,
    )
