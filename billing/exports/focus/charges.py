"""Usage records → FOCUS rows. See docs/decisions for how corrections, credits and closed months are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

from django.conf import settings

from billing import pricing
from billing.exports.focus.amounts import NANO_PLACES, TOKEN_PLACES, shares, text
from billing.exports.focus.records import Closings, Prices, Record, Root
from billing.models import Price, UsageRecord

Kind = UsageRecord.Kind
Charge = dict[str, Any]
SERVICE, PUBLISHER = "Company chat", "OpenAI"
TAG_PREFIX = "chat/"
_CATEGORIES = {Kind.CREDIT.value: "Credit", Kind.WRITE_OFF.value: "Adjustment", Kind.ADJUSTMENT.value: "Adjustment"}
_SAID = {Kind.REVERSAL.value: "Reversal of", Kind.REPLACEMENT.value: "Replacement for"}
_MONEY = {
    Kind.CREDIT.value: "Credit granted",
    Kind.WRITE_OFF.value: "Amount written off",
    Kind.ADJUSTMENT.value: "Adjustment",
}


class Charges:
    """Makes the rows of one export: dictionaries by column name; a column that is absent is null."""

    def __init__(self) -> None:
        self._prices, self._closings = Prices(), Closings()
        self._names = {
            "BillingAccountId": settings.BILLING_ACCOUNT_ID,
            "BillingAccountName": settings.BILLING_ACCOUNT_NAME,
            "BillingAccountType": "Organization",
            "BillingCurrency": "USD",
            "InvoiceIssuerName": SERVICE,
            "ProviderName": SERVICE,
            "PublisherName": PUBLISHER,
            "ServiceProviderName": SERVICE,
            "HostProviderName": PUBLISHER,
            "ServiceCategory": "AI and Machine Learning",
            "ServiceSubcategory": "Generative AI",
            "ServiceName": SERVICE,
        }

    def of(self, record: Record, root: Root | None) -> Iterator[Charge]:
        """The rows of a record: one a token class that it has, or one for an amount. None where nothing was used."""
        correction = root is not None and self._closings.invoiced(day=root.spend_date, at=record.held_at)
        same_month = root is not None and root.spend_date.replace(day=1) == record.spend_date.replace(day=1)
        charged = root.spend_date if root is not None and (correction or same_month) else record.spend_date
        common = {
            **self._names,
            **_period(month_of(record.spend_date), "Billing"),
            **_period((charged, charged + timedelta(days=1)), "Charge"),
            "ChargeClass": "Correction" if correction else None,
            **_whose(record),
        }
        if record.price_id is None:
            kind = root.kind if root else record.kind
            yield from _amount(record, kind, common)
        else:
            price = self._prices.contracted(record.price_id)
            listed = self._prices.listed(price, at=root.held_at if root else record.held_at)
            yield from _usage(record, price, listed, common)


def _usage(record: Record, price: Price, listed: Price, common: Charge) -> Iterator[Charge]:
    tokens = pricing.Tokens(
        input=record.input_tokens,
        output=record.output_tokens,
        cached_input=record.cached_input_tokens,
        cache_write=record.cache_write_tokens,
        reasoning=record.reasoning_tokens,
        extra=record.extra_tokens or {},
    )
    lines = pricing.lines(tokens=tokens, rates=price)
    said = f"{_SAID[record.kind]} usage record {record.corrects_id}: " if record.kind in _SAID else ""
    for line, share in zip(lines, shares(cost=record.cost, lines=lines) if lines else (), strict=True):
        rate = _rate(listed, line.token_class)
        yield {
            **common,
            **_sku(price.model, line.token_class),
            **_costs(share),
            "ListCost": text(line.quantity * rate, NANO_PLACES + TOKEN_PLACES),
            "ContractedCost": text(line.quantity * line.rate, NANO_PLACES + TOKEN_PLACES),
            "ChargeCategory": "Usage",
            "ChargeFrequency": "Usage-Based",
            "ChargeDescription": f"{said}{price.model} {_words(line.token_class)} tokens"
            f" at ${text(line.rate, NANO_PLACES)} per 1M",
            "ConsumedQuantity": str(line.quantity),
            "ConsumedUnit": "Tokens",
            "PricingQuantity": text(line.quantity, TOKEN_PLACES),
            "PricingUnit": "1000000 Tokens",
            "ListUnitPrice": text(rate, NANO_PLACES),
            "ContractedUnitPrice": text(line.rate, NANO_PLACES),
            "PricingCategory": "Standard",
            "x_TokenClass": line.token_class,
            "x_PriceVersion": price.pk,
        }


def _amount(record: Record, kind: str, common: Charge) -> Iterator[Charge]:
    if record.cost:
        said = f"{_SAID[record.kind]} usage record {record.corrects_id}: " if record.kind in _SAID else ""
        yield {
            **common,
            **_costs(record.cost),
            "ListCost": text(record.cost, NANO_PLACES),
            "ContractedCost": text(record.cost, NANO_PLACES),
            "ChargeCategory": _CATEGORIES[kind],
            "ChargeFrequency": "One-Time",
            "ChargeDescription": f"{said}{_MONEY[kind]}",
        }


def _costs(nano: int) -> Charge:
    dollars = text(nano, NANO_PLACES)
    return {"BilledCost": dollars, "EffectiveCost": dollars, "x_CostNanoDollars": nano}


def _rate(price: Price, token_class: str) -> int:
    """Nano-dollars per million tokens of a class; a class without a rate of its own has that of its side."""
    plain: Mapping[str, int] = {
        "input": price.input_price,
        "cached_input": price.cached_input_price,
        "cache_write": price.cache_write_price,
        "output": price.output_price,
    }
    own = plain.get(token_class, price.extra_rates.get(token_class))
    return plain.get(pricing.side(token_class), 0) if own is None else own


@cache
def _sku(model: str, token_class: str) -> Charge:
    sku = f"{PUBLISHER.lower()}/{model}/{token_class}"
    details = json.dumps({"x_Model": model, "x_TokenClass": token_class}, separators=(",", ":"), ensure_ascii=False)
    return {
        "SkuId": sku,
        "SkuPriceId": sku,
        "SkuMeter": f"{_words(token_class).title()} Tokens",
        "SkuPriceDetails": details,
    }


def _words(token_class: str) -> str:
    return token_class.replace("_", " ").replace(".", " ")


def _whose(record: Record) -> Charge:
    tags = {f"{TAG_PREFIX}user": f"u-{record.user_id}", f"{TAG_PREFIX}feature": record.feature}
    grouped = bool(record.group_name)
    return {
        "SubAccountId": _group_id(record) if grouped else None,
        "SubAccountName": record.group_name if grouped else None,
        "SubAccountType": "Group" if grouped else None,
        "Tags": json.dumps(tags, separators=(",", ":"), ensure_ascii=False),
        "x_UsageRecordId": record.pk,
        "x_Model": record.model or None,
        "x_UserId": f"u-{record.user_id}",
        "x_UserName": record.user_name,
        "x_CorrectsUsageRecordId": record.corrects_id,
        "x_SpendDate": record.spend_date.isoformat(),
        "x_Estimated": record.measured == UsageRecord.Measured.ESTIMATED,
        "x_ProviderRequestId": record.provider_request_id or None,
    }


def _group_id(record: Record) -> str:
    """The group's number; where the group went before records kept it, only the name is left."""
    return f"group-{record.group_id}" if record.group_id is not None else f"group-named-{record.group_name}"


def month_of(day: date) -> tuple[date, date]:
    """The first day of a day's calendar month, and that of the next."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _period(days: tuple[date, date], name: str) -> Charge:
    return {f"{name}PeriodStart": _midnight(days[0]), f"{name}PeriodEnd": _midnight(days[1])}


@cache
def _utc(day: date, zone: Any) -> str:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _midnight(day: date) -> str:
    """Where a day begins in the billing time zone, as FOCUS writes an instant."""
    return _utc(day, settings.BILLING_TIME_ZONE)
