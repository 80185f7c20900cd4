"""Closed months: the figures that were sealed are those that the records still give."""

from collections.abc import Iterator
from dataclasses import asdict

from billing import closing
from billing.audit.form import usd
from billing.models import MonthClosing


def differences() -> Iterator[str]:
    """Closed months whose records are not the ones that were added up and hashed then."""
    for month in MonthClosing.objects.exclude(closed_at=None).order_by("month"):
        for name, now in asdict(closing.digest(month=month.month)).items():
            sealed = getattr(month, name)
            if sealed != now:
                shown = usd if name == "cost" else str
                yield f"{month} was closed with {name} {shown(sealed)}, its records now give {shown(now)}."
