"""Hold, settle, release: the only writer of usage records and budget periods.

Rule 1 (`spent + held ≤ limit`, whatever runs at the same time) rests on one statement: the update
in `_take`, which adds a hold only where it fits the row as it stands at that instant, under the
row's lock. Rule 2 (each record ends exactly once) rests on the update in `_end`.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from accounts.models import User
from billing import budgets, money, notices, pricing
from billing.budgets import BudgetExhausted
from billing.budgets import Standing as Standing
from billing.models import Budget, BudgetPeriod, Hold, Price
from billing.models import UsageRecord as UsageRecord

logger = logging.getLogger(__name__)

USEFUL_OUTPUT_TOKENS = 64  # a shorter answer helps nobody; such a call is refused instead
LONGEST_CLASSES = 300  # characters
ATTEMPTS = 200  # each miss means that another call took the room, so this many calls went through meanwhile


class _Missed(Exception):
    """Another call took the room between reading the budgets and taking from them."""


class AlreadyEnded(Exception):
    """The record was settled or released before; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is about to be sent to the provider."""

    user: User
    feature: str
    price: Price
    input_tokens: int
    output_cap: int
    key_fingerprint: str = ""
    api_token_id: int | None = None

    @property
    def wanted(self) -> int:
        """The output cap, as far as the model itself goes."""
        return min(self.output_cap, self.price.output_limit or self.output_cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a hold would do: `most`, in nano-dollars, is for the whole output cap, whatever room there is.

    `output_cap` is what would be sent upstream, 0 where the call would be refused.
    """

    most: int
    output_cap: int
    standing: Standing
    refusal: BudgetExhausted | None


def bound(*, call: Call, now: datetime) -> Bound:
    """What a hold of this call would be at this instant; nothing is set aside."""
    tightest = budgets.tightest(budgets.standings(user=call.user, now=now))
    most = pricing.worst_case(input_tokens=call.input_tokens, output_tokens=call.wanted, rates=call.price)
    try:
        return Bound(most=most, output_cap=_cap(call, tightest), standing=tightest, refusal=None)
    except BudgetExhausted as refusal:
        return Bound(most=most, output_cap=0, standing=tightest, refusal=refusal)


def hold(*, call: Call, now: datetime) -> UsageRecord:
    """Set aside the most that a call can cost in every budget that covers its user.

    The record's `output_cap` is what must be sent upstream: it is lowered where the full one does
    not fit but a useful one does. Raises BudgetExhausted, with nothing changed. Must run inside the
    transaction that writes what the call is for, as its last lock.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("a hold belongs to the transaction that writes its message")
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return _hold_once(call=call, now=now)
        except _Missed:
            continue
    raise budgets.tightest(budgets.standings(user=call.user, now=now)).refusal()


def settle(
    *,
    record: UsageRecord,
    tokens: pricing.Tokens,
    outcome: str,
    measured: str,
    usage: dict[str, Any] | None,
    provider_request_id: str,
    now: datetime,
) -> UsageRecord:
    """Replace the hold by the true cost. Raises AlreadyEnded where the record has ended.

    A truth above the hold is booked and flagged, and so are tokens of a class that the price has no rate
    for: staff are told of both.
    """
    cost = pricing.cost(tokens=tokens, rates=record.held_price)
    unpriced = pricing.unpriced(tokens=tokens, rates=record.held_price)
    ended = _end(
        record,
        state=UsageRecord.State.SETTLED,
        outcome=outcome,
        measured=measured,
        cost=cost,
        over_hold=cost > record.hold,
        input_tokens=tokens.input,
        cached_input_tokens=tokens.cached_input,
        cache_write_tokens=tokens.cache_write,
        output_tokens=tokens.output,
        reasoning_tokens=tokens.reasoning,
        extra_tokens=dict(tokens.extra) or None,
        unpriced_classes=classes(unpriced),
        usage=usage,
        provider_request_id=provider_request_id,
        settled_at=now,
    )
    if ended.over_hold:
        _tell_over_hold(ended, now=now)
    if unpriced:
        _tell_unpriced(ended, now=now)
    return ended


def release(*, record: UsageRecord, outcome: str, provider_request_id: str, now: datetime) -> UsageRecord:
    """Give the whole hold back: the provider refused the call, so it cost nothing."""
    return _end(
        record,
        state=UsageRecord.State.RELEASED,
        outcome=outcome,
        provider_request_id=provider_request_id,
        settled_at=now,
    )


def book(*, record: UsageRecord, periods: Iterable[int]) -> UsageRecord:
    """Write a correction that is complete but for its state: settled, and counted in the budget periods named.

    Its cost, which may be negative, is added to what they have spent. Belongs to the caller's transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "a correction belongs to the transaction that looked at its record"
        )
    record.state, record.settled_at = UsageRecord.State.SETTLED, record.held_at
    record.hold = record.input_bound = record.output_cap = 0
    record.save(force_insert=True)
    Hold.objects.bulk_create([Hold(record=record, period_id=period) for period in periods])
    for period in _in_lock_order(record):
        BudgetPeriod.objects.filter(pk=period).update(spent=F("spent") + record.cost)
    return record


def classes(names: Iterable[str]) -> str:
    """Token classes as a record keeps them: ordered, and no longer than its column."""
    return ", ".join(sorted(names))[:LONGEST_CLASSES]


def _hold_once(*, call: Call, now: datetime) -> UsageRecord:
    standings = budgets.opened(user=call.user, now=now)
    cap = _cap(call, budgets.tightest(standings))
    amount = pricing.worst_case(input_tokens=call.input_tokens, output_tokens=cap, rates=call.price)
    group = call.user.groups.order_by("pk").first()
    record = UsageRecord.objects.create(
        user=call.user,
        user_name=call.user.get_full_name(),
        group=group,
        group_name=group.name if group else "",
        feature=call.feature,
        model=call.price.model,
        price=call.price,
        key_fingerprint=call.key_fingerprint,
        api_token_id=call.api_token_id,
        spend_date=budgets.spend_date(now),
        held_at=now,
        input_bound=call.input_tokens,
        output_cap=cap,
        hold=amount,
    )
    Hold.objects.bulk_create([Hold(record=record, period_id=standing.period_id) for standing in standings])
    _take(standings=standings, amount=amount)
    return record


def _cap(call: Call, tightest: Standing) -> int:
    """The output cap that fits what is left. Raises BudgetExhausted where no useful one does."""
    cap = pricing.affordable_output(
        input_tokens=call.input_tokens, nano=tightest.left, rates=call.price, cap=call.wanted
    )
    if cap < min(USEFUL_OUTPUT_TOKENS, call.wanted):
        raise tightest.refusal()
    return cap


def _take(*, standings: Iterable[Standing], amount: int) -> None:
    limit = Subquery(Budget.objects.filter(pk=OuterRef("budget_id")).values("limit"))
    for standing in standings:
        default = Value(budgets.default_limit(scope=standing.scope, period=standing.period))
        taken = (
            BudgetPeriod.objects.alias(limit=Coalesce(limit, default))
            .filter(pk=standing.period_id, limit__gte=F("spent") + F("held") + amount)
            .update(held=F("held") + amount)
        )
        if not taken:
            raise _Missed


def _end(record: UsageRecord, **fields: Any) -> UsageRecord:
    with transaction.atomic(savepoint=False):  # the record and its periods change together or not at all
        ended = UsageRecord.objects.filter(pk=record.pk, state=UsageRecord.State.HELD).update(**fields)
        for pk in _in_lock_order(record) if ended else ():
            BudgetPeriod.objects.filter(pk=pk).update(
                held=F("held") - record.hold, spent=F("spent") + fields.get("cost", 0)
            )
    if not ended:
        raise AlreadyEnded(record.pk)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def _in_lock_order(record: UsageRecord) -> list[int]:
    """The budget periods that a record counts in."""
    rows = record.periods.values_list("budget__scope", "budget_id", "pk")
    return [pk for *_, pk in sorted(rows, key=lambda row: (budgets.LOCK_ORDER[Budget.Scope(row[0])], row[1]))]


def _tell_over_hold(record: UsageRecord, *, now: datetime) -> None:
    cost, held = (f"${money.to_json(nano)}" for nano in (record.cost, record.hold))
    logger.error("usage record %s cost %s nano-dollars, over its hold of %s", record.pk, record.cost, record.hold)
    notices.note(
        key=f"over hold:{record.pk}",
        subject=f"A call cost more than was set aside: usage record {record.pk}",
        text=f"Usage record {record.pk} ({record.model}) cost {cost}, and {held} had been set aside for it. The true "
        "cost is booked. A bound of ours was wrong: the count of the input, the output cap, or the price.",
        now=now,
    )


def _tell_unpriced(record: UsageRecord, *, now: datetime) -> None:
    logger.error("usage record %s has tokens without a rate: %s", record.pk, record.unpriced_classes)
    notices.note(
        key=f"unpriced class:{record.model}:{record.unpriced_classes}:{record.spend_date}",
        subject=f"{record.model} used tokens that its price has no rate for: {record.unpriced_classes}",
        text=f"The provider counted tokens of {record.unpriced_classes} for usage record {record.pk} and maybe others. "
        f"The price of {record.model} has no rate for them, so they are charged as plain tokens of their side, or not "
        "at all where they are part of neither. The counts are kept on the records.\n\nAdd a price with the rate in "
        "the admin; it holds for new calls. The records so far are listed under Usage records, by the filter for "
        "unpriced classes, and can be corrected.",
        now=now,
    )
