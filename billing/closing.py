"""Closing a month: its records are fixed, added up and hashed, so that a signed figure stays what it was.

From the first step on the database itself (a trigger) refuses to add, change or delete a record of
that month. The second step reads what can't change any more; where it is interrupted, closing again
takes it up.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from psycopg.errors import LockNotAvailable

from accounts import dates
from accounts.errors import InvalidRequest
from accounts.models import User
from billing import acts, budgets, days, money
from billing.models import Act, Budget, MonthClosing, UsageRecord
from billing.snapshot import snapshot

CHUNK = 2000  # rows fetched at once
# Seconds. While writers are waited for, whoever would write next waits behind; autovacuum makes way after one.
PATIENCE = 3

# The canonical form: for each record of the month, by id, one line of JSON (no spaces, UTF-8, `\n` at its
# end): an array of these. Instants are ISO 8601 in UTC with microseconds, dates ISO 8601, objects have
# their keys in order. Names of persons are left out, since a person can ask to be forgotten.
CANONICAL = (
    "id", "kind", "corrects_id", "calls", "user_id", "group_name", "feature", "model", "price_id",
    "key_fingerprint", "provider_request_id", "spend_date", "held_at", "settled_at", "state", "outcome", "measured",
    "cost", *UsageRecord.TOKENS, "extra_tokens", "reason",
)  # fmt: skip
SUMS = ("calls", *UsageRecord.TOKENS, "cost")
_FORM = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE


class NotClosable(InvalidRequest):
    """The month can't be closed; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A month's records, added up and hashed; `cost` in nano-dollars. Released records are in the hash, not in sums."""

    records: int
    calls: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A calendar month that is over; `closing` is None where nobody has begun to close it."""

    first: date
    last: date
    closing: MonthClosing | None

    @property
    def closed(self) -> bool:
        """Whether its figures are fixed."""
        return self.closing is not None and self.closing.closed_at is not None


def months(*, now: datetime, most: int) -> list[Month]:
    """The months that are over, the newest first, back to the first record; of those that are closed no more than the
    newest `most` reach. Two queries.
    """
    oldest = UsageRecord.objects.order_by("spend_date").values_list("spend_date", flat=True)[:1]
    over: list[tuple[date, date]] = []
    last = budgets.spend_date(now).replace(day=1) - timedelta(days=1)
    for since in oldest:
        while last >= since:
            over.append((last.replace(day=1), last))
            last = last.replace(day=1) - timedelta(days=1)
    closed = {row.month: row for row in MonthClosing.objects.filter(month__in=[first for first, _ in over])}
    found = [Month(first=first, last=last, closing=closed.get(first)) for first, last in over]
    return [month for place, month in enumerate(found) if place < most or not month.closed]


def refusal(*, month: date, now: datetime) -> str:
    """Why the calendar month of a day can't be closed now, as a sentence; empty where it can."""
    first = month.replace(day=1)
    if why := days.refusal(first):
        return why
    said = dates.month(first)
    ends = budgets.period_end(period=Budget.Period.MONTH, day=first)
    if now < ends:
        return _("%(month)s is not over before %(end)s.") % {"month": said, "end": dates.instant(ends)}
    begun = MonthClosing.objects.filter(month=first).first()
    if begun is not None:
        if begun.closed_at is None:
            return ""
        closed_at = begun.closed_at.astimezone(settings.BILLING_TIME_ZONE)
        return _("%(month)s is closed since %(day)s.") % {"month": said, "day": dates.day(closed_at)}
    open_holds = UsageRecord.objects.filter(
        state=UsageRecord.State.HELD, spend_date__gte=first, spend_date__lt=ends.date()
    ).count()
    if open_holds:
        return ngettext(
            "%(count)d call of %(month)s has not ended yet. It ends by itself within minutes, "
            "or by `manage.py recover_replies`.",
            "%(count)d calls of %(month)s have not ended yet. They end by themselves within minutes, "
            "or by `manage.py recover_replies`.",
            open_holds,
        ) % {"count": open_holds, "month": said}
    return ""


def close(*, month: date, by: User, now: datetime) -> MonthClosing:
    """Close the calendar month of a day, and seal its figures. Raises NotClosable, with nothing changed.

    Must run outside any transaction: its two steps are two.
    """
    first = month.replace(day=1)
    if why := refusal(month=first, now=now):  # looked at again under the lock, which nobody need wait for in vain
        raise NotClosable(why)
    _fix(first, by=by, now=now)
    with snapshot():
        figures = digest(month=first)
    _seal(first, figures, by=by, now=now)
    return MonthClosing.objects.get(month=first)


def is_closed(*, day: date) -> bool:
    """Whether a spend date lies in a closed month, or in one that is just being closed."""
    return MonthClosing.objects.filter(month=day.replace(day=1)).exists()


def digest(*, month: date) -> Figures:
    """The month's figures as its records give them now; memory does not grow with their number.

    The caller's snapshot decides what is seen.
    """
    following = budgets.period_end(period=Budget.Period.MONTH, day=month).date()
    records = UsageRecord.objects.filter(spend_date__gte=month, spend_date__lt=following)
    settled = records.filter(state=UsageRecord.State.SETTLED)
    sums = settled.aggregate(**{f"sum_{name}": Coalesce(Sum(name), 0) for name in SUMS})
    sha256 = hashlib.sha256()
    for row in records.order_by("pk").values_list(*CANONICAL).iterator(chunk_size=CHUNK):
        sha256.update(line(row))
    return Figures(
        records=records.count(), sha256=sha256.hexdigest(), **{name: int(sums[f"sum_{name}"]) for name in SUMS}
    )


def line(row: tuple[Any, ...]) -> bytes:
    """A record, as values in the order of CANONICAL, in the canonical form."""
    return orjson.dumps(row, default=_canonical, option=_FORM)


def _canonical(value: date | datetime) -> str:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value.isoformat()


@transaction.atomic(durable=True)
def _fix(month: date, *, by: User, now: datetime) -> None:
    """From here on the month takes no record. A moment's lock lets writers that have begun come to their end."""
    _lock()
    if why := refusal(month=month, now=now):
        raise NotClosable(why)
    if not is_closed(day=month):
        MonthClosing.objects.create(month=month, started_at=now, closed_by=by, closed_by_name=by.email)


def _lock() -> None:
    if connection.vendor != "postgresql":  # SQLite has one writer anyway
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{PATIENCE}s"])
        try:
            cursor.execute(f"LOCK TABLE {UsageRecord._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            said = _("Something is just being written that takes long. Nothing was changed; try again in a minute.")
            raise NotClosable(said) from error


@transaction.atomic(durable=True)
def _seal(month: date, figures: Figures, *, by: User, now: datetime) -> None:
    sealed = MonthClosing.objects.filter(month=month, closed_at=None).update(
        closed_at=now, closed_by=by, closed_by_name=by.email, **asdict(figures)
    )
    if sealed:
        acts.record(
            kind=Act.Kind.CLOSING,
            by=by,
            now=now,
            subject=f"{month:%B %Y}",
            after=f"{figures.records} records, ${money.to_json(figures.cost)}, SHA-256 {figures.sha256}",
            amount=figures.cost,
        )
