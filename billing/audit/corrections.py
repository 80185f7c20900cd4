"""Corrections: a reversal is its original negated, and both count in the budgets that they should."""

from collections.abc import Iterator

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import TruncMonth

from billing.audit.form import wrong
from billing.models import Hold, UsageRecord

SAME = ("user", "group_name", "feature", "model", "key_fingerprint")
Kind = UsageRecord.Kind


def differences() -> Iterator[str]:
    """Corrections that do not fit what they correct, or that count in other budget periods than they should."""
    correcting = UsageRecord.objects.filter(kind__in=[Kind.REVERSAL, Kind.REPLACEMENT]).alias(
        month=TruncMonth("spend_date")
    )
    negated = {name: -F(f"corrects__{name}") for name in ("calls", *UsageRecord.TOKENS, "cost")}
    same = {name: F(f"corrects__{name}") for name in SAME}
    yield from _said(
        correcting.filter(kind=Kind.REVERSAL).exclude(**negated, **same), "is no negated copy of what it takes back"
    )
    yield from _said(correcting.filter(kind=Kind.REPLACEMENT).exclude(**same), "is not of the call that it replaces")
    original = Hold.objects.filter(record=OuterRef("corrects"))
    own = Hold.objects.filter(record=OuterRef("pk"))
    there = Exists(Hold.objects.filter(record=OuterRef(OuterRef("corrects")), period=OuterRef("period")))
    here = Exists(Hold.objects.filter(record=OuterRef(OuterRef("pk")), period=OuterRef("period")))
    running = Q(period__budget__period="day", period__start=OuterRef("spend_date")) | Q(
        period__budget__period="month", period__start=OuterRef("month")
    )
    yield from _said(
        correcting.filter(Exists(own.exclude(running)) | Exists(own.filter(~there))),
        "counts in a budget period that had ended, or that its original does not count in",
    )
    yield from _said(
        correcting.filter(Exists(original.filter(running).filter(~here))),
        "is missing in a budget period of its original that was running",
    )
    yield from _said(
        UsageRecord.objects.filter(Exists(own), kind__in=[Kind.WRITE_OFF, Kind.ADJUSTMENT]),
        "counts in a budget, and should not",
    )


def _said(records: QuerySet[UsageRecord], what: str) -> Iterator[str]:
    for pk in wrong(records):
        yield f"Usage record {pk} {what}."
