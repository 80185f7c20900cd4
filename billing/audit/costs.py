"""Costs: every settled record priced again, at the price that it names.

The database does it for all but the few with token classes that have no column. A cost is the amount
(tokens × price) divided by a million and rounded half to even; so it is right where a million times
the cost is less than half a million away from the amount, or just so far and the cost even.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Abs, Greatest

from billing import ledger, money, pricing
from billing.audit.form import CHUNK, usd, wrong
from billing.models import Price, UsageRecord

HALF = money.TOKENS_PER_PRICE // 2
LARGEST = 2**62  # what the database's integers hold, and some room


def differences() -> Iterator[str]:
    """Records whose cost is not that of their tokens, or whose flags do not say what is so."""
    settled = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED)
    prices = Price.objects.in_bulk()
    for pk, kind, price_id, cost, hold, over_hold, unpriced, extra, taken, given, cached, written in _rows(
        wrong(_to_look_at(settled.filter(price__isnull=False)))
    ):
        tokens = pricing.Tokens(input=taken, output=given, cached_input=cached, cache_write=written, extra=extra or {})
        again = pricing.cost(tokens=tokens, rates=prices[price_id])
        if again != cost:
            yield f"Usage record {pk} cost {usd(cost)}, but its tokens at price {price_id} cost {usd(again)}."
        if unpriced != ledger.classes(pricing.unpriced(tokens=tokens, rates=prices[price_id])):
            yield f"Usage record {pk} names {unpriced or 'nothing'} as without a rate at price {price_id}: not so."
        if over_hold != (kind == UsageRecord.Kind.CALL and cost > hold):
            yield f"Usage record {pk} cost {usd(cost)} of a hold of {usd(hold)}, and its flag says otherwise."
    nothing = dict.fromkeys(UsageRecord.TOKENS, 0)
    amounts = settled.filter(price=None).exclude(kind=UsageRecord.Kind.CALL)  # no call is without one
    for pk in wrong(amounts.exclude(**nothing)):
        yield f"Usage record {pk} has tokens and no price."


def _rows(found: Iterator[int]) -> Iterator[tuple[Any, ...]]:
    """What is to be priced again, a chunk at a time."""
    while chunk := list(islice(found, CHUNK)):
        yield from UsageRecord.objects.filter(pk__in=chunk).order_by("pk").values_list(
            "pk", "kind", "price_id", "cost", "hold", "over_hold", "unpriced_classes", "extra_tokens",
            "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens",
        )  # fmt: skip


def _to_look_at(records: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
    """Records that the database finds wrong or can't judge: too large, flagged, or with other classes; one scan."""
    plain = F("input_tokens") - F("cached_input_tokens") - F("cache_write_tokens")
    amount = (
        plain * F("price__input_price")
        + F("cached_input_tokens") * F("price__cached_input_price")
        + F("cache_write_tokens") * F("price__cache_write_price")
        + F("output_tokens") * F("price__output_price")
    )
    dearest = Greatest(
        *(F(f"price__{name}_price") for name in ("input", "cached_input", "cache_write", "output")),
        Value(1, output_field=BigIntegerField()),
    )
    tokens = Abs(F("input_tokens") / 2) + Abs(F("output_tokens") / 2)  # of halves: their sum is no overflow
    return (
        records.alias(tokens=tokens, most=Value(LARGEST // 4, output_field=BigIntegerField()) / dearest)
        .alias(
            off=Case(  # in this order: what is too large is not multiplied
                When(
                    tokens__lt=F("most"),
                    cost__range=(-LARGEST // money.TOKENS_PER_PRICE, LARGEST // money.TOKENS_PER_PRICE),
                    then=amount - F("cost") * money.TOKENS_PER_PRICE,
                ),
                default=Value(LARGEST),
                output_field=BigIntegerField(),
            ),
            odd=F("cost") % 2,
        )
        .filter(
            Q(off__gt=HALF)
            | Q(off__lt=-HALF)
            | Q(off__in=(HALF, -HALF)) & ~Q(odd=0)
            | Q(extra_tokens__isnull=False)
            | ~Q(unpriced_classes="")
            | Q(over_hold=True)
            | Q(kind=UsageRecord.Kind.CALL, cost__gt=F("hold"))
        )
    )
