"""What FOCUS 1.2 says that a row MUST be: a checker for one dataset, as text, of any maker.

Each rule names the column's file under `specification/columns/` or the attribute's under
`specification/attributes/`, from which it was taken. It knows nothing of our code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

Row = Mapping[str, str | None]

MANDATORY = {
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingAccountId", "BillingAccountName",
    "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "InvoiceIssuerName", "ServiceCategory", "ServiceName",
}  # fmt: skip
CONDITIONAL = {
    "ConsumedQuantity", "ConsumedUnit", "ListUnitPrice", "ContractedUnitPrice", "PricingCategory", "SkuId",
    "SkuPriceId", "SkuMeter", "SkuPriceDetails", "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
    "ChargeFrequency", "ServiceSubcategory", "InvoiceId", "BillingAccountType",
}  # fmt: skip
NEW_IN = {"1.2": set(), "1.3": {"ServiceProviderName", "HostProviderName"}}
NOT_NULL = MANDATORY - {"ChargeClass", "PricingQuantity", "PricingUnit"} | {"ChargeFrequency", "ServiceSubcategory"}
DECIMALS = {
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ConsumedQuantity",
    "ListUnitPrice", "ContractedUnitPrice",
}  # fmt: skip
INSTANTS = {"BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"}
JSON_COLUMNS = {"Tags", "SkuPriceDetails"}
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {None, "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {None, "Standard", "Dynamic", "Committed", "Other"},
    "ServiceSubcategory": {
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing",
        "Other (AI and Machine Learning)",
    },
    "ServiceCategory": {"AI and Machine Learning"},
}  # fmt: skip
USAGE_REQUIRED = ("ListUnitPrice", "ContractedUnitPrice", "PricingCategory", "SkuId", "SkuPriceId", "PricingQuantity")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
UNIT = re.compile(r"([1-9]\d* )?[A-Z][A-Za-z]*s")


def broken(rows: Iterable[Row], *, columns: list[str], version: str = "1.2") -> list[str]:
    """Each MUST that a dataset breaks, as a sentence; nothing for a good one."""
    found = [*_of_columns(columns, version)]
    details: dict[str, str | None] = {}
    parents: dict[str, str | None] = {}
    categories: dict[str | None, str | None] = {}
    for number, row in enumerate(rows, start=1):
        for rule in RULES:
            found += [f"row {number}: {sentence}" for sentence in rule(row)]
        price = row["SkuPriceId"]
        if price is not None:
            if parents.setdefault(price, row["SkuId"]) != row["SkuId"]:
                found.append(f"row {number}: SkuPriceId {price} has two SkuIds")  # skupriceid
            if details.setdefault(price, row["SkuPriceDetails"]) != row["SkuPriceDetails"]:
                found.append(f"row {number}: SkuPriceDetails of {price} differ")  # skupricedetails
        if categories.setdefault(row["ServiceName"], row["ServiceCategory"]) != row["ServiceCategory"]:
            found.append(f"row {number}: ServiceName in two categories")  # servicename
    return found


def _of_columns(columns: list[str], version: str) -> Iterator[str]:
    for name in sorted((MANDATORY | CONDITIONAL | NEW_IN[version]) - set(columns)):
        yield f"{name} is missing"
    if len(set(columns)) != len(columns):
        yield "a column is there twice"
    ours = [name.startswith("x_") for name in columns]
    if ours != sorted(ours):
        yield "own columns must follow all of FOCUS's"  # column_handling
    for name in columns:
        if not re.fullmatch(r"(x_)?[A-Z][A-Za-z0-9]*", name):
            yield f"{name} is not in Pascal case"  # column_handling
        if not name.startswith("x_") and name not in MANDATORY | CONDITIONAL | NEW_IN[version]:
            yield f"{name} is none of FOCUS's columns that apply"


def _nulls(row: Row) -> Iterator[str]:
    for name, value in row.items():
        if value is None and name in NOT_NULL:
            yield f"{name} is null"
        if value in ("", "N/A", "null", "NULL"):
            yield f"{name} has {value!r} for null"  # null_handling


def _forms(row: Row) -> Iterator[str]:
    for name, value in row.items():
        if name in ALLOWED and value not in ALLOWED[name]:
            yield f"{name} is {value!r}"
        if value is None:
            continue
        if name in DECIMALS and not NUMBER.fullmatch(value):
            yield f"{name} is {value!r}, which is no number"  # numeric_format
        if name in INSTANTS and not INSTANT.fullmatch(value):
            yield f"{name} is {value!r}, which is no UTC instant"  # datetime_format
        if name.endswith("Unit") and not UNIT.fullmatch(value):
            yield f"{name} is {value!r}, which is no unit"  # unit_format
        if name in JSON_COLUMNS:
            yield from _pairs(name, value)


def _pairs(name: str, value: str) -> Iterator[str]:
    pairs = json.loads(value, object_pairs_hook=list)
    if len({key for key, _ in pairs}) != len(pairs) or any(isinstance(of, list | dict) for _, of in pairs):
        yield f"{name} is {value!r}: keys must be unique, values scalar"  # key_value_format


def _periods(row: Row) -> Iterator[str]:
    for name in ("Billing", "Charge"):
        if not str(row[f"{name}PeriodStart"]) < str(row[f"{name}PeriodEnd"]):
            yield f"the {name.lower()} period does not begin before it ends"
    inside = str(row["BillingPeriodStart"]) <= str(row["ChargePeriodStart"]) < str(row["BillingPeriodEnd"])
    if not inside and row["ChargeClass"] != "Correction":
        yield "the charge is of another billing period, and no correction"  # chargeclass
    if row["BillingCurrency"] != "USD":
        yield "BillingCurrency is no national currency of ours"  # billingcurrency, currency_format


def _category(row: Row) -> Iterator[str]:
    category, correction = row["ChargeCategory"], row["ChargeClass"] == "Correction"
    if category in ("Usage", "Purchase") and not correction:
        for name in USAGE_REQUIRED:
            if row[name] is None:
                yield f"{name} must not be null on {category}"
    if category == "Usage" and not correction and row["ConsumedQuantity"] is None:
        yield "ConsumedQuantity must not be null on Usage"  # consumedquantity
    if category != "Usage" and row["ConsumedQuantity"] is not None:
        yield f"ConsumedQuantity must be null on {category}"  # consumedquantity
    if category == "Tax" and any(row[name] is not None for name in USAGE_REQUIRED):
        yield "prices and SKUs must be null on Tax"
    if category == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a purchase is not Usage-Based"  # chargefrequency


def _together(row: Row) -> Iterator[str]:
    pairs = [
        ("ConsumedQuantity", "ConsumedUnit"), ("PricingQuantity", "PricingUnit"), ("SkuPriceId", "SkuPriceDetails"),
        ("SkuId", "SkuMeter"), ("SkuId", "SkuPriceId"), ("SubAccountId", "SubAccountName"),
        ("SubAccountId", "SubAccountType"),
    ]  # fmt: skip
    for one, other in pairs:
        if (row[one] is None) != (row[other] is None):
            yield f"{one} and {other} must be null together"


def _costs(row: Row) -> Iterator[str]:
    def number(name: str) -> Decimal | None:
        value = row[name]
        return None if value is None else Decimal(value)

    quantity = number("PricingQuantity")
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        unit, total = number(price), number(cost)
        if unit is not None and unit < 0:
            yield f"{price} is below zero"
        if unit is not None and quantity is not None and unit * quantity != total and row["ChargeClass"] is None:
            yield f"{cost} is {total}, but {price} × PricingQuantity is {unit * quantity}"
        if unit is None and total != number("BilledCost"):
            yield f"{cost} without a unit price must be BilledCost"


def _details(row: Row) -> Iterator[str]:
    if row["SkuPriceDetails"] is not None:
        for key in json.loads(row["SkuPriceDetails"]):
            if not key.startswith("x_"):
                yield f"{key} in SkuPriceDetails is no defined key and has no x_"  # skupricedetails
    if row["Tags"] is not None:
        for key in json.loads(row["Tags"]):
            if not key.startswith("chat/"):
                yield f"the tag {key} of ours has no prefix"  # tags


RULES: tuple[Callable[[Row], Iterator[str]], ...] = (_nulls, _forms, _periods, _category, _together, _costs, _details)
