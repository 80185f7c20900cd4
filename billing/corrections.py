"""Putting right what was booked: rows in the open month that say what they correct, by whom and why.

A record is never edited. What was wrong is taken back by a negated copy, and what is right is booked
beside it, both on the day of booking, so that a closed month stays as it was signed.

Budgets brake the present. A reversal and a replacement count in those of the original's budget
periods that still run, and nowhere else; credit counts in the user's own running day and month, where
it makes room; a write-off and an adjustment count in no budget. See docs/decisions.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest
from accounts.models import User
from billing import acts, budgets, ledger, money, pricing, turns
from billing.models import Act, Budget, BudgetPeriod, Price, UsageRecord
from billing.turns import Turn

Kind = UsageRecord.Kind
CORRECTABLE = (Kind.CALL, Kind.REPLACEMENT, Kind.ADJUSTMENT, Kind.CREDIT, Kind.WRITE_OFF)
LARGEST = 10**15  # a million dollars; thousands of such rows still add up within the integers of a database
NOBODY = "nobody@invalid"


class NotCorrectable(InvalidRequest):
    """What is asked for can't be booked; the sentence says why."""


@transaction.atomic
def reverse(*, record: UsageRecord, by: User, reason: str, now: datetime) -> UsageRecord:
    """Take a settled record back, by a negated copy of it. Raises NotCorrectable, with nothing changed."""
    turns.take(Turn.CORRECTION, shared=True)
    _check(record, reason=reason)
    if record.state != UsageRecord.State.SETTLED:
        raise NotCorrectable(_("Nothing was charged for this record, so there is nothing to take back."))
    taken_back = _reversal(record, by=by, reason=reason, now=now)
    _write_down(taken_back, kind=Act.Kind.CORRECTION, by=by, now=now, subject=f"Usage record {record.pk} taken back")
    return taken_back


@transaction.atomic
def correct(
    *,
    record: UsageRecord,
    tokens: pricing.Tokens,
    by: User,
    reason: str,
    now: datetime,
    price: Price | None = None,
    measured: str = UsageRecord.Measured.INVOICE,
    usage: dict[str, Any] | None = None,
    restore: bool = False,
) -> tuple[UsageRecord | None, UsageRecord]:
    """Take a record back and book the right tokens, at its own price or another: (reversal, replacement).

    A released record has no reversal: nothing was charged for it. One that was taken back before has its reversal
    already, and is booked again where somebody means just that (`restore`). Raises NotCorrectable, with nothing
    changed, where the record is still held, was corrected before, or is an amount without tokens.
    """
    turns.take(Turn.CORRECTION, shared=True)
    _check(record, reason=reason)
    rates = price or record.price
    if rates is None or record.kind not in (Kind.CALL, Kind.REPLACEMENT):
        raise NotCorrectable(_("This record has no call behind it. Take it back, and book another."))
    charged = record.state == UsageRecord.State.SETTLED and not (restore and _corrected(record, Kind.REVERSAL))
    reversal = _reversal(record, by=by, reason=reason, now=now) if charged else None
    before = record.cost if charged else 0
    replacement = _copy(record, kind=Kind.REPLACEMENT, by=by, reason=reason, now=now)
    replacement.price, replacement.calls = rates, 1
    replacement.measured, replacement.usage = measured, usage
    replacement.corrects = record
    _put(replacement, tokens, rates)
    _book(replacement, periods=_running(record, now=now))
    _write_down(
        replacement,
        kind=Act.Kind.CORRECTION,
        by=by,
        now=now,
        subject=f"Usage record {record.pk}",
        before=f"${money.to_json(before)}",
        after=f"${money.to_json(replacement.cost)}",
        amount=replacement.cost - before,
    )
    return reversal, replacement


@transaction.atomic
def adjust(
    *,
    user: User,
    by: User,
    reason: str,
    now: datetime,
    calls: int = 0,
    price: Price | None = None,
    tokens: pricing.Tokens | None = None,
    amount: int | None = None,
    model: str = "",
    key_fingerprint: str = "",
    provider_request_id: str = "",
) -> UsageRecord:
    """Book what no record stands for: tokens at a price, or an amount in nano-dollars, signed.

    Counts in no budget: nobody could have been stopped. Raises NotCorrectable.
    """
    adjustment = _amount(Kind.ADJUSTMENT, user=user, by=by, reason=reason, now=now)
    adjustment.calls = calls
    adjustment.key_fingerprint, adjustment.provider_request_id = key_fingerprint, provider_request_id
    if price is not None and tokens is not None and amount is None:
        adjustment.price, adjustment.model = price, model or price.model
        adjustment.measured = UsageRecord.Measured.INVOICE
        _put(adjustment, tokens, price)
    elif price is None and tokens is None and amount and abs(amount) <= LARGEST:
        adjustment.model, adjustment.cost = model, amount
    else:
        raise NotCorrectable(_("Give either tokens and a price, or an amount that is not zero."))
    _book(adjustment, periods=())
    _write_down(adjustment, kind=Act.Kind.ADJUSTMENT, by=by, now=now, subject=f"Adjustment for {user}")
    return adjustment


@transaction.atomic
def grant_credit(
    *, user: User, amount: int, by: User, reason: str, now: datetime, idempotency_key: UUID | None = None
) -> UsageRecord:
    """Credit a user nano-dollars: less spend today, and as much more room in their own running day and month.

    Budgets of groups and of everyone are not widened by it. Raises NotCorrectable; AlreadyDone where the key has
    credited the user before.
    """
    credit = _amount(Kind.CREDIT, user=user, by=by, reason=reason, now=now, amount=amount)
    own = [row.period_id for row in budgets.opened(user=user, now=now) if row.scope == Budget.Scope.USER]
    _book(credit, periods=own)
    _write_down(
        credit, kind=Act.Kind.CREDIT, by=by, now=now, subject=f"Credit for {user}", idempotency_key=idempotency_key
    )
    return credit


@transaction.atomic
def write_off(
    *, user: User, amount: int, by: User, reason: str, now: datetime, idempotency_key: UUID | None = None
) -> UsageRecord:
    """Let nobody be charged for nano-dollars of a user's spend; no budget gets room by it. Raises as `grant_credit`."""
    written_off = _amount(Kind.WRITE_OFF, user=user, by=by, reason=reason, now=now, amount=amount)
    _book(written_off, periods=())
    subject = f"Written off for {user}"
    _write_down(written_off, kind=Act.Kind.WRITE_OFF, by=by, now=now, subject=subject, idempotency_key=idempotency_key)
    return written_off


def nobody() -> User:
    """The user for what the provider charged and no user can be named for; may never sign in."""
    user, made = User.objects.get_or_create(email=NOBODY, defaults={"name": "Nobody in particular", "is_active": False})
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def _check(record: UsageRecord, *, reason: str) -> None:
    if not reason.strip():
        raise NotCorrectable(_("Say why; the reason is kept with the record."), fields={"reason": [_("Say why.")]})
    if record.kind not in CORRECTABLE:
        raise NotCorrectable(_("A reversal can't be taken back. Correct the record that it takes back."))
    if record.state == UsageRecord.State.HELD:
        raise NotCorrectable(_("This call has not ended yet. Correct it once it is settled."))


def _amount(kind: str, *, user: User, by: User, reason: str, now: datetime, amount: int | None = None) -> UsageRecord:
    """A row that is no call: so much less is charged to a user."""
    if not reason.strip():
        raise NotCorrectable(_("Say why; the reason is kept with the record."), fields={"reason": [_("Say why.")]})
    if amount is not None and not 0 < amount <= LARGEST:
        said = _("Give an amount above zero, of at most %(most)s.") % {"most": money.shown(LARGEST, places=0, up=False)}
        raise NotCorrectable(said, fields={"amount": [said]})
    group = user.groups.order_by("pk").first()
    return UsageRecord(
        kind=kind,
        calls=0,
        user=user,
        user_name=user.get_full_name(),
        group_id=group.pk if group else None,
        group_name=group.name if group else "",
        feature=kind,
        spend_date=budgets.spend_date(now),
        held_at=now,
        booked_by=by,
        reason=reason,
        cost=-amount if amount else 0,
    )


def _copy(record: UsageRecord, *, kind: str, by: User, reason: str, now: datetime) -> UsageRecord:
    """A new row with what stays of a record: whose it was, what for, which model, which key."""
    same = (
        "user", "user_name", "group_id", "group_name", "feature", "model", "price", "key_fingerprint",
        "api_token_id", "provider_request_id", "outcome", "measured",
    )  # fmt: skip
    return UsageRecord(
        kind=kind,
        corrects=record,
        spend_date=budgets.spend_date(now),
        held_at=now,
        booked_by=by,
        reason=reason,
        **{name: getattr(record, name) for name in same},
    )


def _reversal(record: UsageRecord, *, by: User, reason: str, now: datetime) -> UsageRecord:
    reversal = _copy(record, kind=Kind.REVERSAL, by=by, reason=reason, now=now)
    reversal.calls, reversal.cost = -record.calls, -record.cost
    for name in UsageRecord.TOKENS:
        setattr(reversal, name, -getattr(record, name))
    if record.extra_tokens:
        reversal.extra_tokens = {name: -count for name, count in record.extra_tokens.items()}
    reversal.unpriced_classes = record.unpriced_classes
    return _book(reversal, periods=_running(record, now=now))


def _put(record: UsageRecord, tokens: pricing.Tokens, rates: Price) -> None:
    """Tokens and what they cost."""
    record.input_tokens, record.output_tokens = tokens.input, tokens.output
    record.cached_input_tokens, record.cache_write_tokens = tokens.cached_input, tokens.cache_write
    record.reasoning_tokens = tokens.reasoning
    record.extra_tokens = dict(tokens.extra) or None
    record.unpriced_classes = ledger.classes(pricing.unpriced(tokens=tokens, rates=rates))
    record.cost = pricing.cost(tokens=tokens, rates=rates)


def _running(record: UsageRecord, *, now: datetime) -> list[int]:
    """Those of a record's budget periods that have not ended."""
    day = budgets.spend_date(now)
    rows = BudgetPeriod.objects.filter(records=record).values_list("pk", "start", "budget__period")
    return [pk for pk, start, period in rows if start == budgets.period_start(period=period, day=day)]


def _book(record: UsageRecord, *, periods: Any) -> UsageRecord:
    try:
        with transaction.atomic():
            return ledger.book(record=record, periods=periods)
    except ledger.MonthIsClosed as error:
        said = _("The month in which this was begun has ended and is closed. Nothing was booked; send it once more.")
        raise NotCorrectable(said) from error
    except IntegrityError as error:
        if record.corrects is None or not _corrected(record.corrects, record.kind):
            raise
        if _corrected(record.corrects, Kind.REPLACEMENT):
            raise NotCorrectable(_("This record has been corrected already. Correct its replacement.")) from error
        raise NotCorrectable(_("This record has been taken back already.")) from error


def _corrected(record: UsageRecord, kind: str) -> bool:
    """Whether there is a reversal, or a replacement, of a record."""
    return UsageRecord.objects.filter(corrects=record, kind=kind).exists()


def _write_down(
    record: UsageRecord, *, kind: str, by: User, now: datetime, subject: str, before: str = "", after: str = "",
    amount: int | None = None, idempotency_key: UUID | None = None,
) -> None:  # fmt: skip
    acts.record(
        kind=kind,
        by=by,
        now=now,
        subject=subject,
        user=record.user,
        before=before,
        after=after,
        reason=record.reason,
        amount=record.cost if amount is None else amount,
        record=record,
        idempotency_key=idempotency_key,
    )
