"""The published price list, as it is packaged: what OpenAI's chat models cost and take. No database.

`genai-prices` (kept by the Pydantic team) carries OpenAI's list prices and needs no network.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from genai_prices.data import providers
from genai_prices.types import ClauseEquals, ClauseOr, ConditionalPrice, ModelInfo, StartDateConstraint, TieredPrices
from tiktoken.model import encoding_name_for_model

from billing import money

UNKNOWN_TOKENIZER = "bytes"

# Models of the chat completions API. The others are priced by the image, the second or the search,
# or answer through another API; what tokens alone do not bound cannot be held for.
_CHAT = re.compile(r"(gpt-(3\.5-turbo|[4-9])|o\d|chatgpt-|chat-latest)")
_OTHER = re.compile(
    r"audio|realtime|image|transcribe|tts|search|instruct|vision|deep-research|codex|-pro\b|:|\.ft-"
    r"|gpt-\d-\d(-|$)|-high$"  # the catalogue's own spellings, which the API does not know
)
_TAKES_TEMPERATURE = re.compile(r"gpt-3\.5|gpt-4|chatgpt-4o|gpt-5[.\d]*-chat")  # leaving it out is always allowed

# The most that a model writes, from the model pages at platform.openai.com/docs/models; the first that
# matches counts. The package does not carry it. A model that is missing here is not limited by us.
_OUTPUT_LIMITS = [
    (re.compile(pattern), limit)
    for pattern, limit in (
        (r"gpt-3\.5-turbo|gpt-4-turbo|gpt-4-\d{4}-preview|gpt-4o-2024-05-13", 4096),
        (r"gpt-4-32k", 32_768),
        (r"gpt-4(-\d{4})?$", 8192),
        (r"gpt-4o|chatgpt-4o", 16_384),
        (r"gpt-4\.1", 32_768),
        (r"o1-mini", 65_536),
        (r"o1-preview", 32_768),
        (r"o[134](-mini)?(-\d{4}-\d\d-\d\d)?$", 100_000),
        (r"gpt-5(-mini|-nano)?(-\d{4}-\d\d-\d\d)?$", 128_000),
    )
]

# The package's names of rates for which a price has no column, and ours of the token classes.
_EXTRA_RATES = {"input_audio_mtok": "input.audio", "output_audio_mtok": "output.audio"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a model costs and takes; prices in nano-dollars per million tokens."""

    input_price: int
    cached_input_price: int
    cache_write_price: int
    output_price: int
    tokenizer: str
    context_window: int
    takes_temperature: bool
    output_limit: int | None = None
    extra_rates: dict[str, int] = field(default_factory=dict)


# The local model costs nothing; these prices make budgets and reports worth looking at.
DEMO = {
    "smollm2-135m-instruct": Entry(
        input_price=money.to_nano(Decimal("0.02")),
        cached_input_price=money.to_nano(Decimal("0.02")),
        cache_write_price=money.to_nano(Decimal("0.02")),
        output_price=money.to_nano(Decimal("0.08")),
        tokenizer=UNKNOWN_TOKENIZER,
        context_window=5376,
        takes_temperature=True,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Entries by model, and the names under which a model is known beside its own."""

    entries: dict[str, Entry]
    aliases: dict[str, str]


def read(*, now: datetime) -> Catalogue:
    """The list as it holds at an instant.

    Another name is an alias where all is the same as under the model's own name. Where a dated version
    has, say, another tokenizer, it has an entry of its own.
    """
    openai = next(provider for provider in providers if provider.id == "openai")
    entries: dict[str, Entry] = {}
    aliases: dict[str, str] = {}
    for info in openai.models:
        found = {name: entry for name in _names(info) if (entry := _entry(name, info, now=now)) is not None}
        for name, entry in found.items():
            if name != info.id and found.get(info.id) == entry:
                aliases[name] = info.id
            else:
                entries[name] = entry
    return Catalogue(entries=entries, aliases=aliases)


def _names(info: ModelInfo) -> Iterator[str]:
    """The model's own name and its exact aliases (dated versions), as far as they are chat models."""
    clauses = info.match.or_ if isinstance(info.match, ClauseOr) else [info.match]
    names = {info.id, *(clause.equals for clause in clauses if isinstance(clause, ClauseEquals))}
    return (name for name in sorted(names) if _CHAT.match(name) and not _OTHER.search(name))


def _entry(name: str, info: ModelInfo, *, now: datetime) -> Entry | None:
    """What the list says of a model; None where it lacks what a call must know.

    Above some thousands of input tokens some models cost more for the whole call. The context window
    ends where that begins, so that the base price is both the true one and never too low.
    """
    base, first_tier = _rates(info, now=now)
    if info.context_window is None or "input_mtok" not in base or "output_mtok" not in base:
        return None
    return Entry(
        input_price=base["input_mtok"],
        cached_input_price=base.get("cache_read_mtok", base["input_mtok"]),
        cache_write_price=base.get("cache_write_mtok", base["input_mtok"]),
        output_price=base["output_mtok"],
        tokenizer=_tokenizer(name),
        context_window=min(info.context_window, first_tier or info.context_window),
        takes_temperature=_TAKES_TEMPERATURE.match(name) is not None,
        output_limit=next((limit for pattern, limit in _OUTPUT_LIMITS if pattern.match(name)), None),
        extra_rates={ours: base[theirs] for theirs, ours in _EXTRA_RATES.items() if theirs in base},
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
        for key in ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok", *_EXTRA_RATES):
            value = getattr(prices, key, None)
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
