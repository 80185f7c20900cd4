"""The columns of each version, in the order of the file: FOCUS's own first, then ours, which begin with `x_`.

From the specification's `specification/columns/` at its tags v1.2 and v1.3. Left out are the conditional
columns that don't apply to us: pricing currency (it is the billing currency), regions and availability
zones, commitments, capacity reservations, contracts, allocations and provisioned resources.
"""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_VERSION = "1.2"


class FocusColumn(NamedTuple):
    """A column: `kind` is `text`, `json`, `decimal`, `instant`, or, in ours only, `integer`, `date` or `truth`."""

    name: str
    kind: str = "text"
    nullable: bool = False


def _columns(words: str, kind: str = "text", *, nullable: bool = False) -> list[FocusColumn]:
    return [FocusColumn(name, kind, nullable) for name in words.split()]


_ALL = [
    *_columns("BilledCost EffectiveCost ListCost ContractedCost", "decimal"),
    *_columns("BillingAccountId BillingAccountName BillingAccountType BillingCurrency"),
    *_columns("BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd", "instant"),
    *_columns("ChargeCategory"),
    *_columns("ChargeClass", nullable=True),
    *_columns("ChargeDescription ChargeFrequency"),
    *_columns("ConsumedQuantity", "decimal", nullable=True),
    *_columns("ConsumedUnit", nullable=True),
    *_columns("PricingQuantity", "decimal", nullable=True),
    *_columns("PricingUnit", nullable=True),
    *_columns("ListUnitPrice ContractedUnitPrice", "decimal", nullable=True),
    *_columns("PricingCategory InvoiceId", nullable=True),
    *_columns("InvoiceIssuerName ProviderName PublisherName"),
]
_REST = [
    *_columns("ServiceCategory ServiceSubcategory ServiceName"),
    *_columns("SkuId SkuPriceId SkuMeter", nullable=True),
    *_columns("SkuPriceDetails", "json", nullable=True),
    *_columns("SubAccountId SubAccountName SubAccountType", nullable=True),
    *_columns("Tags", "json"),
]
_OURS = [
    *_columns("x_UsageRecordId", "integer"),
    *_columns("x_TokenClass x_Model", nullable=True),
    *_columns("x_UserId x_UserName"),
    *_columns("x_PriceVersion x_CorrectsUsageRecordId", "integer", nullable=True),
    *_columns("x_SpendDate", "date"),
    *_columns("x_CostNanoDollars", "integer"),
    *_columns("x_Estimated", "truth"),
    *_columns("x_ProviderRequestId", nullable=True),
]

VERSIONS: dict[str, list[FocusColumn]] = {
    "1.2": [*_ALL, *_REST, *_OURS],
    "1.3": [*_ALL, *_columns("ServiceProviderName HostProviderName"), *_REST, *_OURS],
}
