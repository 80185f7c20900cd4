"""What a call can cost at most, and how much of it fits what is left: what a quote says and a hold then takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from billing import budgets, pricing
from billing.budgets import BudgetExhausted, Standing
from billing.models import Price

USEFUL_OUTPUT_TOKENS = 64  # a shorter answer helps nobody; such a call is refused instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is about to be sent to the provider."""

    user: User
    feature: str
    price: Price
    input_tokens: int
    output_cap: int
    key_fingerprint: str = ""
    api_token_id: int | None = None

    @property
    def wanted(self) -> int:
        """The output cap, as far as the model itself goes."""
        return min(self.output_cap, self.price.output_limit or self.output_cap)

    def most(self, cap: int) -> int:
        """The most that it can cost, in nano-dollars, with so many tokens out at most."""
        return pricing.worst_case(input_tokens=self.input_tokens, output_tokens=cap, rates=self.price)

    def cap(self, tightest: Standing) -> int:
        """The output cap that fits what is left. Raises BudgetExhausted where no useful one does."""
        cap = pricing.affordable_output(
            input_tokens=self.input_tokens, nano=tightest.left, rates=self.price, cap=self.wanted
        )
        if cap < min(USEFUL_OUTPUT_TOKENS, self.wanted):
            raise tightest.refusal()
        return cap


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a hold would do: `most`, in nano-dollars, is for the whole output cap, whatever room there is.

    `output_cap` is what would be sent upstream, 0 where the call would be refused.
    """

    most: int
    output_cap: int
    standing: Standing
    refusal: BudgetExhausted | None


def bound(*, call: Call, now: datetime) -> Bound:
    """What a hold of this call would be at this instant; nothing is set aside."""
    tightest = budgets.tightest(budgets.standings(user=call.user, now=now))
    most = call.most(call.wanted)
    try:
        return Bound(most=most, output_cap=call.cap(tightest), standing=tightest, refusal=None)
    except BudgetExhausted as refusal:
        return Bound(most=most, output_cap=0, standing=tightest, refusal=refusal)
