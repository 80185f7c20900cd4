"""The two tiers as a person chooses between them: each with its model's own name and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from billing.offers import Offer, offers
from conversations.models import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A tier on offer."""

    tier: Tier
    offer: Offer
    meaning: str


def choices(*, now: datetime) -> list[Choice]:
    """Fast and smart, in this order; one query."""
    found = offers(models=settings.CHAT_MODELS.values(), now=now)
    fast, smart = (found[settings.CHAT_MODELS[tier]] for tier in (Tier.FAST, Tier.SMART))
    times = smart.times(fast)
    dearer = _("about %(times)s times the price") % {"times": times} if times > 1 else _("for hard questions")
    if smart.model == fast.model:
        dearer = _("the same model here")
    return [
        Choice(tier=Tier.FAST, offer=fast, meaning=_("for most questions")),
        Choice(tier=Tier.SMART, offer=smart, meaning=dearer),
    ]
