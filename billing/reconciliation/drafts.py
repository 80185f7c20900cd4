"""What would put a difference right: drafts of corrections, which change nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing import corrections, money, pricing
from billing.models import Price, Proposal, UsageRecord
from billing.reconciliation.figures import Sums

MOST_RECORDS = 200  # of one group that are proposed one by one; a larger difference is one adjustment
LARGEST_COLUMN = 2**31 - 1
Act = Proposal.Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A correction to book. Of a replacement `figures` are the right ones, else what is added; `cost` always is.

    The sentence is kept, and names no person, who can ask to be forgotten.
    """

    act: Act
    sentence: str
    figures: Sums
    record: UsageRecord | None = None
    price: Price | None = None


def settled_estimates(*, records: Sequence[UsageRecord], delta: Sums) -> list[Draft] | None:
    """Replace estimates so that their sum moves by `delta`, each by its share; None where no share could be true."""
    if not 0 < len(records) <= MOST_RECORDS or any(record.extra_tokens for record in records):
        return None
    total = delta
    for record in records:
        total = total.plus(tokens_of(record))
    shares = _shares(records, total) if total.sound else None
    if shares is None:
        return None
    return [
        _replaced(record, figures, _("The provider's figure settles the estimate"))
        for record, figures in zip(records, shares, strict=True)
        if figures.usage[1:] != tokens_of(record).usage[1:]
    ]


def charged_after_all(*, records: Sequence[UsageRecord], delta: Sums) -> list[Draft] | None:
    """Give records that were released as free the tokens that the provider counted for so many calls."""
    if not 0 < len(records) <= MOST_RECORDS or len(records) != delta.calls or not delta.sound:
        return None
    shares = _shares(records, delta)
    if shares is None:
        return None
    return [
        _replaced(record, figures, _("Nothing was charged for it here, and the provider charged it"))
        for record, figures in zip(records, shares, strict=True)
    ]


def taken_back(*, records: Callable[[], QuerySet[UsageRecord]], estimates: Sequence[UsageRecord], delta: Sums,
               nothing_there: bool) -> list[Draft] | None:  # fmt: skip
    """Take back the records that the provider does not have; None where it can't be said which those are."""
    lacking = delta.minus(Sums(cost=delta.cost))
    found: Sequence[UsageRecord] = ()
    if nothing_there and -delta.calls <= MOST_RECORDS:
        found = list(records()[: MOST_RECORDS + 1])
    elif len(estimates) == -delta.calls <= MOST_RECORDS:
        found = estimates
    elif delta.calls == -1:
        names = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
        same = dict(zip(names, (-tokens for tokens in delta.usage[1:]), strict=True))
        found = list(records().filter(**same)[:2])
        found = found if len(found) == 1 else ()
    total = lacking
    for record in found:
        total = total.plus(tokens_of(record))
    if not found or any(total.usage):
        return None
    return [
        Draft(
            act=Act.REVERSE, record=record, figures=_negated(record),
            sentence=_("Take back usage record %(record)s: the provider does not have it.") % {"record": record.pk},
        )
        for record in found
    ]  # fmt: skip


def priced_adjustment(*, delta: Sums, price: Price | None) -> list[Draft] | None:
    """Book calls that nobody can be named for at our price; None where they have none, or can't be such tokens."""
    if price is None or not delta.sound or max(delta.usage) > LARGEST_COLUMN:
        return None
    tokens = as_tokens(delta)
    cost = pricing.cost(tokens=tokens, rates=price)
    return [
        Draft(
            act=Act.ADJUST, price=price, figures=delta._replace(cost=cost),
            sentence=_("Book %(calls)s of %(model)s for nobody in particular, %(amount)s at our price.")
            % {"calls": calls(delta.calls), "model": price.model, "amount": usd(cost)},
        )
    ]  # fmt: skip


def by_amount(*, delta: Sums, amount: int, what: str) -> Draft | None:
    """Book an amount alone; where it is nothing, hold the difference for explained. None where it can't be booked."""
    if abs(delta.calls) > LARGEST_COLUMN or abs(amount) > corrections.LARGEST:
        return None
    if amount == 0:
        sentence = _("Hold it for explained: %(what)s.") % {"what": what}
        return Draft(act=Act.NOTE, figures=delta._replace(cost=0), sentence=sentence)
    return Draft(
        act=Act.ADJUST, figures=delta._replace(cost=amount),
        sentence=_("Book %(amount)s for nobody in particular: %(what)s.") % {"amount": usd(amount), "what": what},
    )  # fmt: skip


def tokens_of(record: UsageRecord) -> Sums:
    """What a settled record counts, without its cost; a released one counts nothing."""
    return Sums(
        calls=record.calls if record.state == UsageRecord.State.SETTLED else 0,
        input_tokens=record.input_tokens,
        cached_input_tokens=record.cached_input_tokens,
        cache_write_tokens=record.cache_write_tokens,
        output_tokens=record.output_tokens,
    )


def as_tokens(figures: Sums, *, reasoning: int = 0) -> pricing.Tokens:
    """Figures as the price list takes them."""
    return pricing.Tokens(
        input=figures.input_tokens,
        cached_input=figures.cached_input_tokens,
        cache_write=figures.cache_write_tokens,
        output=figures.output_tokens,
        reasoning=min(reasoning, figures.output_tokens),
    )


def usd(nano: int) -> str:
    """Nano-dollars for a sentence, exact."""
    return f"-${money.to_json(-nano)}" if nano < 0 else f"${money.to_json(nano)}"


def calls(number: int) -> str:
    """A number of calls in words."""
    return ngettext("%(number)s call", "%(number)s calls", abs(number)) % {"number": f"{number:,}"}


def _replaced(record: UsageRecord, figures: Sums, why: str) -> Draft:
    cost = pricing.cost(tokens=as_tokens(figures, reasoning=record.reasoning_tokens), rates=record.held_price)
    return Draft(
        act=Act.CORRECT, record=record, figures=figures._replace(cost=cost - record.cost),
        sentence=_("%(why)s: usage record %(record)s, %(before)s, becomes %(after)s.")
        % {"why": why, "record": record.pk, "before": usd(record.cost), "after": usd(cost)},
    )  # fmt: skip


def _negated(record: UsageRecord) -> Sums:
    return Sums(*(-value for value in tokens_of(record)))._replace(cost=-record.cost)


def _shares(records: Sequence[UsageRecord], total: Sums) -> list[Sums] | None:
    """A total over records, each class by what was estimated of it, else by what was held for.

    None where a share is more than a record's columns hold.
    """
    plain = total.input_tokens - total.cached_input_tokens - total.cache_write_tokens
    # Where nothing was counted, as of a record that was released, what it was held for.
    estimated = [tokens_of(record) for record in records]
    if not any(part.input_tokens for part in estimated):
        estimated = [
            part._replace(input_tokens=record.input_bound) for part, record in zip(estimated, records, strict=True)
        ]
    taken = [part.input_tokens for part in estimated]
    given = [record.output_tokens or record.output_cap for record in records]
    cached = [record.cached_input_tokens for record in records]
    written = [record.cache_write_tokens for record in records]
    shared = zip(
        _share(plain, [part.input_tokens - part.cached_input_tokens - part.cache_write_tokens for part in estimated]),
        _share(total.cached_input_tokens, cached if any(cached) else taken),
        _share(total.cache_write_tokens, written if any(written) else taken),
        _share(total.output_tokens, given),
        strict=True,
    )
    shares = [
        Sums(
            calls=1,
            input_tokens=rest + from_cache + to_cache,
            cached_input_tokens=from_cache,
            cache_write_tokens=to_cache,
            output_tokens=out,
        )
        for rest, from_cache, to_cache, out in shared
    ]
    return shares if all(max(share.usage) <= LARGEST_COLUMN for share in shares) else None


def _share(total: int, weights: list[int]) -> list[int]:
    """A total in whole parts by weight; what does not divide goes to the largest remainders."""
    weights = weights if any(weights) else [1] * len(weights)
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in by_rest[: total - sum(parts)]:
        parts[place] += 1
    return parts
