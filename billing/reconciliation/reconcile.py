"""One comparison, from files to differences; nothing is changed by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing import days, money
from billing.models import Proposal
from billing.reconciliation import ours, statement
from billing.reconciliation.buckets import COSTS, USAGE, Kind
from billing.reconciliation.compare import Comparison, Difference, compare
from billing.reconciliation.figures import Span, Sums
from billing.reconciliation.matching import match
from billing.reconciliation.statement import Statement
from billing.reconciliation.values import Unreadable
from billing.snapshot import snapshot

MOST_DAYS = 400
_SHOWN_DAYS = 5
# What a row says, in this order: a database may keep an object's parts in another.
COLUMNS = (
    *("day", "model", "key", "kind"),
    *(f"{side}_{name}" for side in ("theirs", "ours") for name in (*Sums._fields[:-1], "cost_usd")),
    *("sentence", "proposals"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came out: differences with their drafts, and sentences about what was compared and what was not.

    `given`: what the files are of; `days`: how many were compared; `running`: whether others were not for the reason
    that their calls have not ended; `booked`: the proposals of these days that our figures had in them already;
    `by_hand`: the corrections of other origin, by day, as of `ours.by_hand`.
    """

    first: date
    last: date
    given: tuple[Kind, ...]
    days: int
    running: bool
    differences: list[Difference]
    notes: list[str]
    booked: frozenset[int]
    by_hand: dict[str, int]

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        if not self.days and self.running:
            return _("Nothing could be compared yet, as calls have not ended. Compare again in a few minutes.")
        if not self.days:
            return _("Nothing could be compared. Give files that have these days, or choose days that the files have.")
        found = len(self.differences)
        what = ngettext("%(count)d difference", "%(count)d differences", found) % {"count": found}
        asked = (self.last - self.first).days + 1
        said = ngettext(
            "%(days)d of the %(all)d days was compared: %(found)s.",
            "%(days)d of the %(all)d days were compared: %(found)s.",
            self.days,
        )
        if asked == 1:
            said = _("The day was compared: %(found)s.")
        return said % {"days": self.days, "all": asked, "found": what if found else _("no differences")}

    def report(self) -> dict[str, Any]:
        """All that is kept of it and that programs are told."""
        return {
            "sentence": self.sentence,
            "given": list(self.given),
            "notes": self.notes,
            "differences": self.rows(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """The differences for programs; money as decimal strings of dollars."""
        return [
            {
                "day": difference.group.day.isoformat(),
                "model": difference.group.model,
                "key": difference.group.key,
                "kind": difference.kind.value,
                **_side("theirs", difference.theirs),
                **_side("ours", difference.ours),
                "sentence": difference.sentence,
                "proposals": [draft.sentence for draft in difference.drafts],
            }
            for difference in self.differences
        ]


def reconcile(
    *, files: Iterable[tuple[str, bytes]], first: date, last: date, keys: Mapping[str, str] | None = None
) -> Result:
    """Compare the provider's files, (name, content), with our records for some UTC days, both included.

    `keys`: our fingerprints by the provider's names of keys. Raises Unreadable.
    """
    if why := days.refusal(first) or days.refusal(last):
        raise Unreadable(why)
    if not first <= last < first + timedelta(days=MOST_DAYS):
        raise Unreadable(
            _("Give a first and a last day, in this order, and at most %(most)d days.") % {"most": MOST_DAYS}
        )
    given = statement.read(files)
    spans = _spans(given, first=first, last=last)
    with snapshot():
        booked = frozenset(Proposal.objects.booked(first=first, last=last).values_list("pk", flat=True))
        by_hand = ours.by_hand(first=first, last=last)
        covered = len(spans)
        _leave_out_unfinished(given, spans)
        here = ours.read(spans=spans.values())
        matched = match(statement=given, spans=spans, ours=here, keys=keys or {})
        found: Comparison = compare(matched=matched, usage=USAGE in given.spans, costs=COSTS in given.spans)
    notes = [*given.notes, *_of_days(spans, first=first, last=last), *found.notes]
    if here.loose:
        notes.append(
            _(
                "Adjustments that were booked by hand in these days: %(count)d. Nobody can say for which of the "
                "provider's days, so they are left out here."
            )
            % {"count": here.loose}
        )
    return Result(
        first=first, last=last, given=tuple(given.kinds), days=len(spans), running=len(spans) < covered,
        differences=found.differences, notes=notes, booked=booked, by_hand=by_hand,
    )  # fmt: skip


def _spans(given: Statement, *, first: date, last: date) -> dict[date, Span]:
    """The part of each day that is compared; notes say which days are not, or not whole."""
    missing = statement.missing(given, first=first, last=last)
    if missing:
        days = ", ".join(str(day) for day in missing[:_SHOWN_DAYS])
        if len(missing) > _SHOWN_DAYS:
            days = _("%(days)s and %(count)d more") % {"days": days, "count": len(missing) - _SHOWN_DAYS}
        given.notes.append(
            _("The files have nothing of %(days)s: not compared. An idle day is an empty bucket.") % {"days": days}
        )
    spans = {}
    for day in (first + timedelta(days=offset) for offset in range((last - first).days + 1)):
        span = given.span(day) if day not in missing else None
        if span is None:
            continue
        if not span.whole:
            end = "24:00" if span.end.date() > day else f"{span.end:%H:%M}"
            given.notes.append(
                _("Of %(day)s the files have %(start)s to %(end)s UTC; so much of it is compared.")
                % {"day": day, "start": f"{span.start:%H:%M}", "end": end}
            )
        spans[day] = span
    return spans


def _leave_out_unfinished(given: Statement, spans: dict[date, Span]) -> None:
    """The provider may have counted a call, on its day or around midnight on the next, that is settled here later."""
    for day, count in sorted(ours.unfinished(spans=spans.values()).items()):
        for uncertain in (day, day + timedelta(days=1)):
            spans.pop(uncertain, None)
        given.notes.append(
            ngettext(
                "%(count)d call of %(day)s has not ended yet, so that day and the next are not compared. It ends by "
                "itself within minutes.",
                "%(count)d calls of %(day)s have not ended yet, so that day and the next are not compared. They end by "
                "themselves within minutes.",
                count,
            )
            % {"count": count, "day": day}
        )


def _of_days(spans: Iterable[date], *, first: date, last: date) -> list[str]:
    """What it means that a day here is not a day of the reports."""
    zone = settings.BILLING_TIME_ZONE
    noons = (datetime.combine(day, time(12), tzinfo=UTC) for day in (first, last))
    if not any(spans) or all(noon.astimezone(zone).utcoffset() == timedelta(0) for noon in noons):
        return []
    said = _(
        "The provider's days are UTC, the spend dates of the reports are of %(zone)s. Here each call counts on the UTC "
        "day on which it was held, so a day's figures are not those of the reports for that date; over a month they "
        "differ by the calls of the hours between the two midnights at its ends."
    )
    return [said % {"zone": zone}]


def _side(name: str, sums: Sums) -> dict[str, Any]:
    counts = dict(zip((f"{name}_{field}" for field in Sums._fields[:-1]), sums.usage, strict=True))
    return {**counts, f"{name}_cost_usd": money.to_json(sums.cost)}
