"""The price list: which price is in force, and how new ones come in from the packaged catalogue.

`genai-prices` (kept by the Pydantic team) carries OpenAI's list prices and needs no network.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices.data import providers
from genai_prices.types import ClauseEquals, ClauseOr, ConditionalPrice, ModelInfo, StartDateConstraint, TieredPrices
from tiktoken.model import encoding_name_for_model

from accounts.errors import Refusal
from billing import money
from billing.models import Price as Price

logger = logging.getLogger(__name__)

FIRST_INSTANT = datetime(2020, 1, 1, tzinfo=UTC)  # a model's first price holds for whatever came before it
UNKNOWN_TOKENIZER = "bytes"

# Models of the chat completions API. The others are priced by the image, the second or the search,
# or answer through another API; what tokens alone do not bound cannot be held for.
_CHAT = re.compile(r"(gpt-(3\.5-turbo|[4-9])|o\d|chatgpt-|chat-latest)")
_OTHER = re.compile(
    r"audio|realtime|image|transcribe|tts|search|instruct|vision|deep-research|codex|-pro\b|:|\.ft-"
    r"|gpt-\d-\d(-|$)|-high$"  # the catalogue's own spellings, which the API does not know
)
_TAKES_TEMPERATURE = re.compile(r"gpt-3\.5|gpt-4|chatgpt-4o|gpt-5[.\d]*-chat")  # leaving it out is always allowed


class UnpricedModel(Refusal):
    """A model without a price can't be called: nobody could say what it costs."""

    code, status = "provider_unavailable", 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a price row says beside its instant; prices in nano-dollars per million tokens."""

    source: str
    input_price: int
    cached_input_price: int
    cache_write_price: int
    output_price: int
    tokenizer: str
    context_window: int
    takes_temperature: bool


DEMO_ENTRIES = {
    # The local model costs nothing; these prices make budgets and reports worth looking at.
    "smollm2-135m-instruct": Entry(
        source=Price.Source.DEMO,
        input_price=money.to_nano(Decimal("0.02")),
        cached_input_price=money.to_nano(Decimal("0.02")),
        cache_write_price=money.to_nano(Decimal("0.02")),
        output_price=money.to_nano(Decimal("0.08")),
        tokenizer=UNKNOWN_TOKENIZER,
        context_window=5376,
        takes_temperature=True,
    )
}


def in_force(*, model: str, now: datetime) -> Price:
    """The price at which a call is held now; raises UnpricedModel, and tells staff, where there is none."""
    price = Price.objects.in_force(model=model, at=now)
    if price is None:
        logger.error("the model %s has no price; run sync_prices, or add its price in the admin", model)
        raise UnpricedModel(
            "This model has no price yet, so it can't be called. The administrators have been told. "
            "Nothing was charged."
        )
    return price


def sync(*, now: datetime) -> list[Price]:
    """Bring in new and changed prices as new rows; returns them. A row is never edited.

    A price that staff have negotiated stays in force: the list price does not replace it.
    """
    latest = {price.model: price for price in Price.objects.order_by("effective_from").filter(effective_from__lte=now)}
    new = [
        Price(model=model, effective_from=now if model in latest else FIRST_INSTANT, **asdict(entry))
        for model, entry in sorted((_catalogue(now=now) | DEMO_ENTRIES).items())
        if model not in latest or _differs(latest[model], entry)
    ]
    Price.objects.bulk_create(new, ignore_conflicts=True)
    return new


def _differs(price: Price, entry: Entry) -> bool:
    if price.source == Price.Source.NEGOTIATED:
        return False
    return any(getattr(price, name) != value for name, value in asdict(entry).items())


def _catalogue(*, now: datetime) -> dict[str, Entry]:
    openai = next(provider for provider in providers if provider.id == "openai")
    entries: dict[str, Entry] = {}
    for info in openai.models:
        for name in _names(info):
            entry = _entry(name, info, now=now)
            if entry is not None:
                entries[name] = entry
    return entries


def _names(info: ModelInfo) -> Iterator[str]:
    """The model's own name and its exact aliases (dated versions), as far as they are chat models."""
    clauses = info.match.or_ if isinstance(info.match, ClauseOr) else [info.match]
    names = {info.id, *(clause.equals for clause in clauses if isinstance(clause, ClauseEquals))}
    return (name for name in names if _CHAT.match(name) and not _OTHER.search(name))


def _entry(name: str, info: ModelInfo, *, now: datetime) -> Entry | None:
    """A catalogue entry as a price row; None where it lacks what a call must know.

    Above some thousands of input tokens some models cost more for the whole call. The row's context
    window ends where that begins, so that the base price is both the true one and never too low.
    """
    base, first_tier = _rates(info, now=now)
    if info.context_window is None or "input_mtok" not in base or "output_mtok" not in base:
        return None
    return Entry(
        source=Price.Source.CATALOGUE,
        input_price=base["input_mtok"],
        cached_input_price=base.get("cache_read_mtok", base["input_mtok"]),
        cache_write_price=base.get("cache_write_mtok", base["input_mtok"]),
        output_price=base["output_mtok"],
        tokenizer=_tokenizer(name),
        context_window=min(info.context_window, first_tier or info.context_window),
        takes_temperature=_TAKES_TEMPERATURE.match(name) is not None,
    )


def _rates(info: ModelInfo, *, now: datetime) -> tuple[dict[str, int], int | None]:
    """Prices by class that hold on this day, in nano-dollars per million tokens, and where dearer tiers begin.

    Of prices that change with the hour the dearest is taken.
    """
    conditional = info.prices if isinstance(info.prices, list) else [ConditionalPrice(prices=info.prices)]
    by_hour = [price.prices for price in conditional if not _by_date(price)]
    rates: dict[str, int] = {}
    tiers: list[int] = []
    for prices in (info.get_prices(now), *by_hour):
        for key in ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok"):
            value = getattr(prices, key)
            if isinstance(value, TieredPrices):
                tiers += [tier.start for tier in value.tiers]
                value = value.base
            if value is not None:
                rates[key] = max(rates.get(key, 0), money.to_nano(value))
    return rates, min(tiers, default=None)


def _by_date(price: ConditionalPrice) -> bool:
    return price.constraint is None or isinstance(price.constraint, StartDateConstraint)


def _tokenizer(name: str) -> str:
    try:
        return encoding_name_for_model(name)
    except KeyError:
        return UNKNOWN_TOKENIZER
