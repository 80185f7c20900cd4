"""The provider's figures of some days, put together from its files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing import money
from billing.reconciliation import files
from billing.reconciliation.buckets import COSTS, USAGE, Bucket, Entry, Kind, as_kind
from billing.reconciliation.figures import Group, Span, Sums
from billing.reconciliation.values import LARGEST_AMOUNT, LARGEST_COUNT, Unreadable

_EXACT = Context(prec=100)
_FILE = tuple[str, bytes]


@dataclass(slots=True, kw_only=True)
class Statement:
    """By kind: the spans that are covered, by day, and the lines of each day. `notes` are sentences for people."""

    spans: dict[Kind, dict[date, Span]]
    lines: dict[Kind, dict[date, list[Entry]]]
    notes: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> list[Kind]:
        """What was given: costs, usage, or both."""
        return sorted(self.spans)

    def tells(self, what: str) -> bool:
        """Whether the lines of every kind tell models (`model`) or keys (`key`) apart."""
        for days in self.lines.values():
            entries = [entry for lines in days.values() for entry in lines]
            if entries and all(getattr(entry, what) is None for entry in entries):
                return False
        return True

    def span(self, day: date) -> Span | None:
        """The part of a day that all kinds cover alike; None, with a note, where there is none."""
        found = {spans.get(day) for spans in self.spans.values()}
        if len(found) == 1:
            return found.pop()
        if None not in found:
            self.notes.append(
                _("%(day)s is not compared: the costs and the usage are of different hours of it.") % {"day": day}
            )
        else:
            only = next(kind for kind in self.kinds if day in self.spans[kind])
            self.notes.append(
                _("%(day)s is not compared: the files have only the %(kind)s of it.")
                % {"day": day, "kind": named(only)}
            )
        return None

    def sums(self, day: date, *, by_model: bool, by_key: bool) -> dict[Group, Sums]:
        """The day's figures, each group's dollars rounded once to a nano-dollar."""
        used: dict[Group, Sums] = {}
        dollars: dict[Group, Decimal] = {}
        for days in self.lines.values():
            for entry in days.get(day, ()):
                group = Group(day, entry.model or "" if by_model else "", entry.key or "" if by_key else "")
                used[group] = used.get(group, Sums()).plus(entry.used)
                dollars[group] = _EXACT.add(dollars.get(group, Decimal(0)), entry.dollars)
        if any(max(sums.usage) > LARGEST_COUNT for sums in used.values()):
            raise Unreadable(_("A day's counts add up to more than %(most)s.") % {"most": f"{LARGEST_COUNT:,}"})
        return {group: sums._replace(cost=_nano(dollars[group])) for group, sums in used.items()}


def read(given: Iterable[_FILE]) -> Statement:
    """Read all files. A bucket that two of them have must be the same in both. Raises Unreadable."""
    found = [files.read(name=name, content=content) for name, content in given]
    if not found:
        raise Unreadable(_("Give at least one file."))
    kinds = {file.kind for file in found if file.kind}
    statement = Statement(spans={}, lines={})
    seen: dict[tuple[Kind, Span], tuple[Entry, ...]] = {}
    repeated = 0
    for file in sorted(found, key=lambda file: file.kind is None):
        # A file that is idle throughout does not say what it is of: it is of what the others are of.
        for kind in [file.kind] if file.kind else sorted(kinds) or [COSTS, USAGE]:
            for bucket in file.buckets:
                taken = _take(statement, seen, as_kind(bucket, kind), name=file.name, idle=file.kind is None)
                repeated += not taken
    if repeated:
        statement.notes.append(
            ngettext(
                "Of the buckets, %(count)d was given more than once; it counts once.",
                "Of the buckets, %(count)d were given more than once; each counts once.",
                repeated,
            )
            % {"count": repeated}
        )
    _note_unfinished(statement, found)
    for kind in (COSTS, USAGE):
        if kind in statement.spans:
            statement.spans[kind] = _joined(statement, kind, seen)
    return statement


def _take(
    statement: Statement, seen: dict[tuple[Kind, Span], tuple[Entry, ...]], bucket: Bucket, *, name: str, idle: bool
) -> bool:
    """Count a bucket in; False where it is there already."""
    place = (bucket.kind, Span(bucket.start, bucket.end))
    lines = tuple(sorted(bucket.entries, key=repr))
    day = bucket.start.date()
    if place in seen:
        if seen[place] == lines or idle:
            return idle
        raise Unreadable(
            _(
                "%(name)s: the %(kind)s of %(day)s are there twice, with different figures. Give each day once, and "
                "all of it grouped alike."
            )
            % {"name": name, "kind": named(bucket.kind), "day": day}
        )
    seen[place] = lines
    statement.spans.setdefault(bucket.kind, {})
    statement.lines.setdefault(bucket.kind, {}).setdefault(day, []).extend(lines)
    return True


def _joined(statement: Statement, kind: Kind, seen: dict[tuple[Kind, Span], tuple[Entry, ...]]) -> dict[date, Span]:
    """What the buckets of each day cover together; a day with a hole or an overlap is left out, with a note."""
    spans: dict[date, Span] = {}
    broken: set[date] = set()
    for span in sorted(span for of, span in seen if of == kind):
        day = span.start.date()
        before = spans.get(day)
        if before is not None and before.end != span.start:
            broken.add(day)
        spans[day] = Span(before.start if before else span.start, span.end)
    for day in sorted(broken):
        del spans[day]
        statement.notes.append(
            _("%(day)s is not compared: its %(kind)s have holes or overlap.") % {"day": day, "kind": named(kind)}
        )
    return spans


def _note_unfinished(statement: Statement, found: list[files.File]) -> None:
    for kind in statement.kinds:
        pages = [file for file in found if file.kind == kind]
        if pages and all(file.unfinished for file in pages):
            latest = max((max(days) for of, days in statement.lines.items() if of == kind and days), default=None)
            statement.notes.append(
                _(
                    "The %(kind)s say that more pages follow (has_more), and these were not given: they end with "
                    "%(latest)s. Later days are not compared."
                )
                % {"kind": named(kind), "latest": latest}
            )


def named(kind: Kind) -> str:
    """The costs, or the usage, inside a sentence."""
    return _("costs") if kind == COSTS else _("usage")


def missing(statement: Statement, *, first: date, last: date) -> list[date]:
    """Days of the range of which the files say nothing at all."""
    covered = {day for spans in statement.spans.values() for day in spans}
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return [day for day in days if day not in covered]


def _nano(dollars: Decimal) -> int:
    if abs(dollars) > LARGEST_AMOUNT:
        raise Unreadable(_("A day's costs add up to more than %(most)s dollars.") % {"most": f"{LARGEST_AMOUNT:,f}"})
    return int(_EXACT.multiply(dollars, money.NANO_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))
