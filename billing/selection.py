"""Which records a report or an export is about: some days, and what else narrows it down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts import dates
from accounts.errors import InvalidRequest
from accounts.requests import UNSTORABLE
from billing import days
from billing.models import DailySpend, DailyTotal, MonthlySpend, UsageRecord

MOST_DAYS = 3660
MOST_CHARACTERS = 254
# What people call a filter in an address, and where it looks.
FILTERS = {
    "user": "user_id", "group": "group_name", "model": "model", "feature": "feature", "key": "key_fingerprint",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The settled records of the spend dates from `first` to `last`, both included; a filter that is None is off."""

    first: date
    last: date
    user: int | None = None
    group: str | None = None
    model: str | None = None
    feature: str | None = None
    key: str | None = None

    @classmethod
    def of_query(cls, query: Mapping[str, Any], *, first: date, last: date) -> Selection:
        """From an address's parameters; `first` and `last` where it has none. Raises InvalidRequest."""
        wrong: dict[str, list[str]] = {}
        asked = {"from": first, "to": last}
        for name in asked:
            if query.get(name):
                try:
                    asked[name] = date.fromisoformat(query[name])
                except ValueError:
                    wrong[name] = [_("A date such as 2026-10-31.")]
                if why := days.refusal(asked[name]):
                    wrong[name] = [why]
        filters = {name: query[name] for name in FILTERS if query.get(name)}
        wrong.update({name: [_("This is too long.")] for name, text in filters.items() if len(text) > MOST_CHARACTERS})
        wrong.update(
            {
                name: [_("There is a character in it that no name has.")]
                for name, text in filters.items()
                if UNSTORABLE.search(text)
            }
        )
        if "user" in filters and not (filters["user"].isdecimal() and len(filters["user"]) < 19):
            wrong["user"] = [_("A user's number.")]
        if not wrong and asked["from"] > asked["to"]:
            wrong["to"] = [_("It must not be before the first day.")]
        if not wrong and (asked["to"] - asked["from"]).days >= MOST_DAYS:
            wrong["to"] = [_("At most ten years at once.")]
        if wrong:
            raise InvalidRequest(_("These days or filters do not fit; see `fields`."), fields=wrong)
        if "user" in filters:
            filters["user"] = int(filters["user"])
        return cls(first=asked["from"], last=asked["to"], **filters)

    @property
    def filters(self) -> dict[str, Any]:
        """Those that are on, by their names."""
        return {name: getattr(self, name) for name in FILTERS if getattr(self, name) is not None}

    def as_query(self) -> dict[str, str]:
        """The address's parameters that give this selection."""
        narrowed = {name: str(value) for name, value in self.filters.items()}
        return {"from": self.first.isoformat(), "to": self.last.isoformat(), **narrowed}

    @property
    def month(self) -> date | None:
        """The first day of the calendar month that this is exactly; None where it is not one."""
        following = (self.first.replace(day=1) + timedelta(days=32)).replace(day=1)
        return self.first if self.first.day == 1 and self.last == following - timedelta(days=1) else None

    @property
    def before(self) -> Selection:
        """The same for the month before, or for as many days before."""
        last = self.first - timedelta(days=1)
        first = last.replace(day=1) if self.month else last - (self.last - self.first)
        return Selection(**{**asdict(self), "first": first, "last": last})

    @property
    def label(self) -> str:
        """The days for people: `October 2026`, `3–9 October 2026`."""
        first, last = self.first, self.last
        if self.month:
            return dates.month(first)
        if first == last:
            return _day(last)
        if (first.year, first.month) == (last.year, last.month):
            return date_format(first, "j") + "–" + dates.day(last)
        return f"{_day(first)} – {_day(last)}"

    @property
    def file_stem(self) -> str:
        """The beginning of a file's name."""
        return f"usage-{self.first:%Y%m%d}-{self.last:%Y%m%d}"

    def records(self) -> QuerySet[UsageRecord]:
        """The settled records."""
        return self._of_any_day().filter(spend_date__gte=self.first, spend_date__lte=self.last)

    def waiting(self) -> QuerySet[UsageRecord]:
        """Those among them that the roll-up has not counted yet: looked up one by one, as few are.

        Not by their day's index: old statistics know nothing of a new day, nor that anything waits at all, and
        PostgreSQL would read the whole day again for each that waits.
        """
        day = Coalesce("spend_date", "spend_date")  # the same, but no index has it
        waiting = self._of_any_day().filter(uncounted__isnull=False)
        return waiting.alias(day=day).filter(day__gte=self.first, day__lte=self.last)

    def _of_any_day(self) -> QuerySet[UsageRecord]:
        settled = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED)
        return settled.filter(**{FILTERS[name]: value for name, value in self.filters.items()})

    def spend(self, by: Iterable[str]) -> QuerySet[Any]:
        """What the roll-up knows of them, from the smallest table that can be grouped so."""
        asked = {*by, *self.filters}
        narrowed = {FILTERS[name]: value for name, value in self.filters.items()}
        whole_months = self.first.day == 1 and (self.last + timedelta(days=1)).day == 1
        if asked == {"user"} and whole_months:
            return MonthlySpend.objects.filter(month__gte=self.first, month__lte=self.last, **narrowed)
        table: type[DailySpend | DailyTotal] = DailySpend if "user" in asked else DailyTotal
        return table._default_manager.filter(spend_date__gte=self.first, spend_date__lte=self.last, **narrowed)


NAMES = tuple(field.name for field in fields(Selection))


def _day(day: date) -> str:
    return dates.day(day)
