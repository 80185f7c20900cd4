"""What the provider's files hold: buckets of time, each with what was charged or used in it."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.utils.translation import gettext as _

from billing.reconciliation import values
from billing.reconciliation.figures import DAY, NOTHING, Sums
from billing.reconciliation.values import Unreadable

Kind = Literal["costs", "usage"]
COSTS: Kind = "costs"
USAGE: Kind = "usage"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Entry:
    """A line of a bucket. `model` and `key` are None where the provider was not asked to tell them apart."""

    model: str | None
    key: str | None
    used: Sums = NOTHING
    dollars: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A span of time within one UTC day, and its lines; none on an idle day."""

    kind: Kind
    start: datetime
    end: datetime
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise Unreadable(
                _("A bucket ends before it begins: %(start)s UTC.") % {"start": f"{self.start:%Y-%m-%d %H:%M}"}
            )
        if self.end - self.start > DAY or (self.end.date() != self.start.date() and self.end.time() != _MIDNIGHT):
            raise Unreadable(
                _("A bucket of %(day)s reaches over more than one UTC day. Ask for daily buckets.")
                % {"day": self.start.date()}
            )


_MIDNIGHT = datetime.min.time()


def cost(fields: dict[str, Any], *, value: Any, currency: Any, where: str) -> Entry:
    """A line of costs."""
    if str(currency or "usd").strip().lower() != "usd":
        raise Unreadable(
            _("%(where)s is not in dollars: %(currency)r.") % {"where": where, "currency": str(currency)[:20]}
        )
    return Entry(
        model=_model_of_line(values.name(fields.get("line_item"), what=f"{where}: line_item")),
        key=values.name(fields.get("api_key_id"), what=f"{where}: api_key_id"),
        dollars=values.amount(value, what=_("%(where)s: the amount") % {"where": where}),
    )


def usage(fields: dict[str, Any], *, where: str) -> Entry:
    """A line of usage."""

    def counted(name: str) -> int:
        return values.count(fields.get(name), what=f"{where}: {name}")

    sums = Sums(
        calls=counted("num_model_requests"),
        input_tokens=counted("input_tokens"),
        cached_input_tokens=counted("input_cached_tokens"),
        cache_write_tokens=counted("input_cache_write_tokens"),
        output_tokens=counted("output_tokens"),
    )
    if not sums.sound:
        raise Unreadable(_("%(where)s has more cached than input tokens.") % {"where": where})
    return Entry(
        model=values.name(fields.get("model"), what=f"{where}: model"),
        key=values.name(fields.get("api_key_id"), what=f"{where}: api_key_id"),
        used=sums,
    )


def as_kind(bucket: Bucket, kind: Kind) -> Bucket:
    """An empty bucket, of another kind: an idle day does not say what it is of."""
    return replace(bucket, kind=kind)


def _model_of_line(line_item: str | None) -> str | None:
    """`gpt-4o-2024-08-06, input` is of gpt-4o-2024-08-06: cut at the last comma."""
    if line_item is None:
        return None
    model, comma, _ = line_item.rpartition(",")
    return (model.strip() if comma else line_item) or line_item
