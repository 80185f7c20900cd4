"""Comparisons that are kept, and the booking of what they propose: by a person, with a reason, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing import corrections, turns
from billing.corrections import NotCorrectable
from billing.models import Proposal, Reconciliation, UsageRecord
from billing.reconciliation import drafts, ours
from billing.reconciliation.drafts import Draft
from billing.reconciliation.figures import Sums
from billing.reconciliation.reconcile import Result, reconcile
from billing.reconciliation.values import Unreadable
from billing.turns import Turn

ATTEMPTS = 3
LONGEST_NAME = 200
LONGEST_REASON = 500
State, Act = Proposal.State, Proposal.Act


@dataclass(slots=True, kw_only=True)
class Booked:
    """What became of proposals: how many were booked, and sentences about those that were not."""

    count: int = 0
    refused: list[str] = field(default_factory=list)


def run(
    *,
    files: Sequence[tuple[str, bytes]],
    first: date,
    last: date,
    keys: Mapping[str, str],
    by: User,
    clock: Callable[[], datetime],
) -> Reconciliation:
    """Compare, and keep the result with its proposals, which replace open ones of the same days. Raises Unreadable.

    Where somebody books a proposal of these days meanwhile, or corrects a call by hand, it compares again. Must run
    outside any transaction.
    """
    for _attempt in range(ATTEMPTS):
        started_at = clock()
        result = reconcile(files=files, first=first, last=last, keys=keys)
        kept = _keep(result, files=files, keys=keys, by=by, started_at=started_at)
        if kept is not None:
            return kept
    raise Unreadable(_("Somebody is booking corrections of these days just now. Compare again in a moment."))


def newest(count: int) -> list[Reconciliation]:
    """What was compared last, the newest first."""
    return list(Reconciliation.objects.order_by("-pk")[:count])


def book(*, reconciliation: Reconciliation, proposals: Collection[int], by: User, reason: str, now: datetime) -> Booked:
    """Book open proposals of a comparison, by their ids; each in a transaction of its own.

    One that was booked before, that a newer comparison replaced, or of whose day something was corrected by hand
    meanwhile, until the very instant of its booking, is refused with a sentence, and nothing of it is booked. Raises
    NotCorrectable without a reason.
    """
    if not reason.strip():
        raise NotCorrectable(_("Say why; the reason is kept with each record."), fields={"reason": [_("Say why.")]})
    done, looked = Booked(), _Looked()
    wanted = reconciliation.proposals.filter(pk__in=proposals).select_related("record__user", "record__price", "price")
    for proposal in wanted.order_by("pk"):
        try:
            _book(proposal, looked, seen=reconciliation.by_hand, by=by, reason=reason, now=now)
        except NotCorrectable as refusal:
            done.refused.append(
                _("%(proposal)s Not booked: %(why)s") % {"proposal": proposal.sentence, "why": refusal.message}
            )
        else:
            done.count += 1
    return done


@dataclass(slots=True)
class _Looked:
    """Days of which nothing was corrected by hand up to our own last booking: for as long as nobody books between.

    To look reads all that was ever corrected of a day, and so would take longer with each that is booked.
    """

    days: set[date] = field(default_factory=set)
    newest: int | None = None  # what was booked last, by its key


@transaction.atomic
def _book(
    proposal: Proposal, looked: _Looked, *, seen: dict[str, int] | None, by: User, reason: str, now: datetime
) -> None:
    turns.take(Turn.CORRECTION)  # so whoever is just correcting by hand is seen below
    if looked.newest != _newest_booked():
        looked.days.clear()
    if seen is not None and proposal.day not in looked.days:
        if _by_hand(proposal.day) > seen.get(proposal.day.isoformat(), 0):
            raise NotCorrectable(_("Something of that day was corrected by hand since. Compare again."))
        looked.days.add(proposal.day)
    claimed = Proposal.objects.filter(pk=proposal.pk, state=State.OPEN).update(
        state=State.BOOKED, booked_at=now, booked_by=by, reason=reason.strip()[:LONGEST_REASON]
    )
    if not claimed:
        raise NotCorrectable(_("It was booked before, or a newer comparison has replaced it."))
    record = _record(proposal, by=by, reason=reason, now=now)
    Proposal.objects.filter(pk=proposal.pk).update(booked=record)
    looked.newest = _newest_booked()


def _newest_booked() -> int | None:
    """What was booked last that is no call."""
    booked = UsageRecord.objects.exclude(kind=UsageRecord.Kind.CALL)
    return booked.order_by("-pk").values_list("pk", flat=True).first()


def _by_hand(day: date) -> int:
    return ours.by_hand(first=day, last=day).get(day.isoformat(), 0)


def _record(proposal: Proposal, *, by: User, reason: str, now: datetime) -> UsageRecord | None:
    """Do what a proposal says, by the functions that staff use; returns the record that it wrote."""
    figures = Sums(*(getattr(proposal, name) for name in Sums._fields[:-1]))
    said = f"{reason.strip()} (the provider's figures of {proposal.day})"[:LONGEST_REASON]
    match proposal.act:
        case Act.REVERSE if proposal.record is not None:
            return corrections.reverse(record=proposal.record, by=by, reason=said, now=now)
        case Act.CORRECT if proposal.record is not None:
            tokens = drafts.as_tokens(figures, reasoning=proposal.record.reasoning_tokens)
            return corrections.correct(record=proposal.record, tokens=tokens, by=by, reason=said, now=now)[1]
        case Act.ADJUST:
            given: dict[str, Any] = {"amount": proposal.amount}
            if proposal.price is not None:
                given = {"price": proposal.price, "tokens": drafts.as_tokens(figures)}
            fingerprint = proposal.key if len(proposal.key) <= _FINGERPRINT else ""
            return corrections.adjust(
                user=corrections.nobody(), by=by, reason=said, now=now, calls=figures.calls,
                model=proposal.model[:_MODEL], key_fingerprint=fingerprint,
                provider_request_id="" if fingerprint else proposal.key, **given,
            )  # fmt: skip
    return None


_FINGERPRINT = UsageRecord._meta.get_field("key_fingerprint").max_length or 0
_MODEL = UsageRecord._meta.get_field("model").max_length or 0


@transaction.atomic
def _keep(
    result: Result, *, files: Sequence[tuple[str, bytes]], keys: Mapping[str, str], by: User, started_at: datetime
) -> Reconciliation | None:
    """Write it down; None where something was booked that it has not seen, so that it would propose that once more."""
    turns.take(Turn.COMPARISON)  # two at once would not see each other's proposals, to replace them
    # This waits for whoever is just booking one of them, so that what is booked is read after their commit.
    Proposal.objects.filter(day__range=(result.first, result.last), state=State.OPEN).update(state=State.REPLACED)
    booked = Proposal.objects.booked(first=result.first, last=result.last)
    unseen = not result.booked.issuperset(booked.values_list("pk", flat=True))
    if unseen or ours.by_hand(first=result.first, last=result.last) != result.by_hand:
        transaction.set_rollback(True)
        return None
    kept = Reconciliation.objects.create(
        started_at=started_at,
        by=by,
        by_name=by.email,
        first=result.first,
        last=result.last,
        files=[{"name": name[:LONGEST_NAME], "sha256": hashlib.sha256(content).hexdigest()} for name, content in files],
        keys=dict(keys),
        by_hand=result.by_hand,
        report=result.report(),
    )
    Proposal.objects.bulk_create(
        [
            _proposal(kept, number, draft, result)
            for number, difference in enumerate(result.differences)
            for draft in difference.drafts
        ],
        batch_size=500,
    )
    return kept


def _proposal(kept: Reconciliation, number: int, draft: Draft, result: Result) -> Proposal:
    group = result.differences[number].group
    return Proposal(
        reconciliation=kept,
        difference=number,
        day=group.day,
        model=group.model,
        key=group.key,
        act=draft.act,
        sentence=draft.sentence[:500],
        record=draft.record,
        price=draft.price,
        amount=draft.figures.cost,
        **dict(zip(Sums._fields[:-1], draft.figures.usage, strict=True)),
    )
