"""What the models on offer cost, in the words that help to choose between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing import pricing
from billing.models import Price

SHORT_QUESTION = pricing.Tokens(input=200, output=400)  # a paragraph asked, a screen answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model's price, or the lack of one; `short_question` is in nano-dollars."""

    model: str
    short_question: int | None
    demo: bool

    def times(self, other: Offer) -> int:
        """How many times another's price this one's is, rounded; 0 where either has none."""
        if not self.short_question or not other.short_question:
            return 0
        return round(self.short_question / other.short_question)


def offers(*, models: Iterable[str], now: datetime) -> dict[str, Offer]:
    """The offer of each model by the price that holds now; one query a model."""
    wanted = set(models)
    in_force = Price.objects.in_force_of(names=wanted, at=now)
    return {model: _offer(model=model, price=in_force.get(model)) for model in wanted}


def _offer(*, model: str, price: Price | None) -> Offer:
    return Offer(
        model=model,
        short_question=pricing.cost(tokens=SHORT_QUESTION, rates=price) if price else None,
        demo=price is not None and price.source == Price.Source.DEMO,
    )
