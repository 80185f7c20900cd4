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
from billing import budgets, pricing
from billing.budgets import Standing
from billing.models import Budget, BudgetPeriod, Hold, Price
from billing.models import UsageRecord as UsageRecord

logger = logging.getLogger(__name__)

USEFUL_OUTPUT_TOKENS = 64  # a shorter answer helps nobody; such a call is refused instead
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

    A truth above the hold is booked and flagged: one of our bounds was wrong, and staff must hear of it.
    """
    cost = pricing.cost(tokens=tokens, rates=record.price)
    if cost > record.hold:
        logger.error("usage record %s cost %s nano-dollars, over its hold of %s", record.pk, cost, record.hold)
    return _end(
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
        usage=usage,
        provider_request_id=provider_request_id,
        settled_at=now,
    )


def release(*, record: UsageRecord, outcome: str, provider_request_id: str, now: datetime) -> UsageRecord:
    """Give the whole hold back: the provider refused the call, so it cost nothing."""
    return _end(
        record,
        state=UsageRecord.State.RELEASED,
        outcome=outcome,
        provider_request_id=provider_request_id,
        settled_at=now,
    )


def _hold_once(*, call: Call, now: datetime) -> UsageRecord:
    standings = budgets.opened(user=call.user, now=now)
    tightest = budgets.tightest(standings)
    cap = pricing.affordable_output(
        input_tokens=call.input_tokens, nano=tightest.left, rates=call.price, cap=call.output_cap
    )
    if cap < min(USEFUL_OUTPUT_TOKENS, call.output_cap):
        raise tightest.refusal()
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
        spend_date=budgets.spend_date(now),
        held_at=now,
        input_bound=call.input_tokens,
        output_cap=cap,
        hold=amount,
    )
    Hold.objects.bulk_create([Hold(record=record, period_id=standing.period_id) for standing in standings])
    _take(standings=standings, amount=amount)
    return record


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
        periods = record.periods.values_list("budget__scope", "budget_id", "pk") if ended else ()
        for *_, pk in sorted(periods, key=lambda row: (budgets.LOCK_ORDER[Budget.Scope(row[0])], row[1])):
            BudgetPeriod.objects.filter(pk=pk).update(
                held=F("held") - record.hold, spent=F("spent") + fields.get("cost", 0)
            )
    if not ended:
        raise AlreadyEnded(record.pk)
    for name, value in fields.items():
        setattr(record, name, value)
    return record
