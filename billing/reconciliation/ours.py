"""Our settled figures as the provider counts: by the UTC day of the call, not by spend date.

What corrects a call counts on the call's day, however late it was booked. An adjustment counts where
it was booked by one of our proposals, on the day that it was proposed for; credit and write-offs are
between us and our people, and don't count at all.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet, Sum
from django.db.models.functions import TruncDate

from billing.models import Proposal, UsageRecord
from billing.reconciliation.figures import Group, Span, Sums, day_span

# A spend date is at most a day away from the UTC day of its call; it is what the index has.
ZONE_SLACK = timedelta(days=2)
CHUNK = 2000
_SUMS = ("calls", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "cost")
_CORRECTING = (UsageRecord.Kind.REVERSAL, UsageRecord.Kind.REPLACEMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Sums by group, with models as records name them and keys as fingerprints."""

    sums: dict[Group, Sums]
    loose: int  # adjustments of these days that no proposal stands for


def read(*, spans: Iterable[Span]) -> Ours:
    """The figures of the calls that were held in some spans, each within one UTC day."""
    sums: dict[Group, Sums] = {}
    wanted = sorted(spans)
    for run in _runs(wanted):
        for group, found in _of_calls(run):
            sums[group] = sums.get(group, Sums()).plus(found)
        for group, found in _of_corrections(run):
            sums[group] = sums.get(group, Sums()).plus(found)
    days = [span.start.date() for span in wanted]
    for group, found in _of_proposals(days):
        sums[group] = sums.get(group, Sums()).plus(found)
    return Ours(sums={group: found for group, found in sums.items() if any(found)}, loose=_loose(wanted))


def unfinished(*, spans: Iterable[Span]) -> dict[date, int]:
    """How many calls of some spans have not ended, by their UTC day; nobody can say yet what they count."""
    wanted = sorted(spans)
    if not wanted:
        return {}
    held = UsageRecord.objects.filter(
        state=UsageRecord.State.HELD, held_at__gte=wanted[0].start, held_at__lt=wanted[-1].end
    ).values_list("held_at", flat=True)
    within = {span.start.date(): span for span in wanted}
    days = ((at, at.astimezone(UTC).date()) for at in held)
    return Counter(day for at, day in days if day in within and within[day].start <= at < within[day].end)


def by_hand(*, first: date, last: date) -> dict[str, int]:
    """How many corrections count on UTC days, both included, that were not booked from a proposal, by ISO date.

    It only grows: where it is as it was, nobody has put right by hand what was found then.
    """
    proposals = Proposal.objects.booked(first=first, last=last)
    booked = list(proposals.values_list("day", "act", "record", "booked", "booked__corrections"))
    made = {pk for _day, _act, _record, pk, _corrected_by in booked}
    replaced = {record for _day, act, record, *_ in booked if act == Proposal.Act.CORRECT}  # has a reversal too
    found = Counter(
        day.isoformat()
        for day, row in _corrections(Span(day_span(first).start, day_span(last).end))
        if row["pk"] not in made and not (row["kind"] == UsageRecord.Kind.REVERSAL and row["corrects"] in replaced)
    )
    found.update(
        day.isoformat()
        for day, act, _record, _pk, corrected_by in booked
        if act == Proposal.Act.ADJUST and corrected_by is not None
    )
    return dict(found)


def booked_for(record: UsageRecord) -> int:
    """How many proposals are booked for the UTC day of a record, or of the call that it corrects. It only grows."""
    while record.corrects is not None:
        record = record.corrects
    day = record.held_at.astimezone(UTC).date()
    return Proposal.objects.booked(first=day, last=day).count()


def current(*, span: Span, models: Collection[str] | None, keys: Collection[str] | None) -> QuerySet[UsageRecord]:
    """Calls of a span as they were made, corrected ones left out, of some models and keys; None is any."""
    records = _held_in(UsageRecord.objects.filter(kind=UsageRecord.Kind.CALL, corrections=None), span)
    if models is not None:
        records = records.filter(model__in=models)
    return records if keys is None else records.filter(key_fingerprint__in=keys)


def _runs(spans: list[Span]) -> Iterator[Span]:
    """Spans that touch, as one."""
    run: Span | None = None
    for span in spans:
        if run is not None and run.end == span.start:
            run = Span(run.start, span.end)
            continue
        if run is not None:
            yield run
        run = span
    if run is not None:
        yield run


def _held_in(records: QuerySet[UsageRecord], span: Span, prefix: str = "") -> QuerySet[UsageRecord]:
    return records.filter(
        **{
            f"{prefix}spend_date__gte": span.start.date() - ZONE_SLACK,
            f"{prefix}spend_date__lte": span.end.date() + ZONE_SLACK,
            f"{prefix}held_at__gte": span.start,
            f"{prefix}held_at__lt": span.end,
        }
    )


def _of_calls(span: Span) -> Iterator[tuple[Group, Sums]]:
    settled = _held_in(UsageRecord.objects.all(), span).filter(
        kind=UsageRecord.Kind.CALL, state=UsageRecord.State.SETTLED
    )
    rows: Any = (
        settled.annotate(day=TruncDate("held_at", tzinfo=UTC))
        .values("day", "model", "key_fingerprint")
        .annotate(**{f"sum_{name}": Sum(name) for name in _SUMS})
        .order_by()
    )
    for row in rows:
        group = Group(row["day"], row["model"], row["key_fingerprint"])
        yield group, Sums(*(int(row[f"sum_{name}"]) for name in _SUMS))


def _of_corrections(span: Span) -> Iterator[tuple[Group, Sums]]:
    for day, row in _corrections(span):
        yield Group(day, row["model"], row["key_fingerprint"]), Sums(*(row[name] for name in _SUMS))


def _corrections(span: Span) -> Iterator[tuple[date, dict[str, Any]]]:
    """Reversals and replacements of the span's calls, then those of the replacements, and so on, with the call's day.

    A query for each step of the longest chain.
    """
    days: dict[int, date] = {}
    kinds = UsageRecord.objects.filter(kind__in=_CORRECTING)
    level = list(
        _rows(_held_in(kinds, span, "corrects__").filter(corrects__kind=UsageRecord.Kind.CALL), at="corrects__held_at")
    )
    while level:
        for row in level:
            at: datetime | None = row["at"]
            days[row["pk"]] = at.astimezone(UTC).date() if at else days[row["corrects"]]
            yield days[row["pk"]], row
        pks = [row["pk"] for row in level]
        level = [
            row | {"at": None}
            for start in range(0, len(pks), CHUNK)
            for row in _rows(kinds.filter(corrects__in=pks[start : start + CHUNK]), at="held_at")
        ]


def _rows(records: QuerySet[UsageRecord], *, at: str) -> Iterator[dict[str, Any]]:
    names = ("pk", "kind", "corrects", "model", "key_fingerprint", *_SUMS)
    yield from records.order_by("pk").values(*names, at=F(at)).iterator(chunk_size=CHUNK)


def _of_proposals(days: list[date]) -> Iterator[tuple[Group, Sums]]:
    """Adjustments that were booked from proposals for these days, and differences that were explained."""
    if not days:
        return
    acts = (Proposal.Act.ADJUST, Proposal.Act.NOTE)
    booked = Proposal.objects.filter(
        day__range=(min(days), max(days)), state=Proposal.State.BOOKED, act__in=acts, booked__corrections=None
    ).select_related("booked")
    wanted = set(days)
    for proposal in booked.iterator(chunk_size=CHUNK):
        if proposal.day in wanted:
            sums = Sums(*(getattr(proposal, name) for name in _SUMS[:-1]))
            cost = proposal.booked.cost if proposal.booked else 0
            yield Group(proposal.day, proposal.model, proposal.key), sums._replace(cost=cost)


def _loose(spans: list[Span]) -> int:
    """Adjustments that people booked by hand in these days: nobody can say for which day of the provider's."""
    if not spans:
        return 0
    whole = Span(day_span(spans[0].start.date()).start, spans[-1].end)
    by_hand = _held_in(UsageRecord.objects.filter(kind=UsageRecord.Kind.ADJUSTMENT), whole)
    named = Proposal.objects.filter(act=Proposal.Act.ADJUST, booked__isnull=False).values("booked")
    return by_hand.exclude(pk__in=named).count()
