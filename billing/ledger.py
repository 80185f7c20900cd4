"""Hold, settle, release: the only writer of usage records and budget periods.

Rule 1 (`spent + held ≤ limit`, whatever runs at the same time) rests on one statement: `_TAKE`, which
adds a hold only where it fits the row as it stands at that instant, under the row's lock. Rule 2 (each
record ends exactly once) rests on the update in `_end`. Every send waits for these statements, and all
wait in turn for everyone's row, so they are plain SQL and go to the database together, the commit with them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.statements import Found, Statement, Unchanged, finish, insert, next_key, run, update
from billing import alarms, budgets, pricing
from billing.bounds import Call
from billing.budgets import BudgetExhausted, Standing
from billing.models import Hold
from billing.models import UsageRecord as UsageRecord

LONGEST_CLASSES = 300  # characters
ATTEMPTS = 200  # each miss means that another call took the room, so this many calls went through meanwhile


# The limit is read by a subquery on the budget's own row: what a join would read is from before a wait.
_TAKE = """
UPDATE billing_budgetperiod SET held = held + %s
WHERE id = %s AND spent + held + %s <= COALESCE(
    (SELECT "limit" FROM billing_budget WHERE billing_budget.id = billing_budgetperiod.budget_id), %s)
"""
_BOOK = "UPDATE billing_budgetperiod SET held = held - %s, spent = spent + %s WHERE id = %s"
_PERIODS = """
SELECT period.id FROM billing_hold AS hold
JOIN billing_budgetperiod AS period ON period.id = hold.period_id
JOIN billing_budget AS budget ON budget.id = period.budget_id
WHERE hold.record_id = %s
ORDER BY CASE budget.scope WHEN 'user' THEN 0 WHEN 'group' THEN 1 ELSE 2 END, budget.id
"""
_GROUP = """
SELECT company_group.id, company_group.name FROM accounts_user_groups AS membership
JOIN auth_group AS company_group ON company_group.id = membership.group_id
WHERE membership.user_id = %s ORDER BY company_group.id LIMIT 1
"""
_CLOSED = "this month is closed"  # as the trigger says that keeps closed months
_BEFORE, _BACK = Statement("SAVEPOINT taking"), Statement("ROLLBACK TO SAVEPOINT taking")


class AlreadyEnded(Exception):
    """The record was settled or released before; nothing was changed."""


class MonthIsClosed(IntegrityError):
    """A record's month has ended, and was closed, while the record was on its way; nothing was changed."""


def reading(*, user: User, now: datetime) -> list[Statement]:
    """What a hold asks first; for whoever asks something else in the same trip, and gives `hold` the answers."""
    return [next_key(UsageRecord), Statement(_GROUP, [user.pk]), budgets.reading(user=user, now=now)]


def hold(
    *,
    call: Call,
    now: datetime,
    write: Callable[[UsageRecord], Sequence[Statement]] = lambda _: (),
    meanwhile: Callable[[UsageRecord], object] = lambda _: None,
    answers: Sequence[Found] = (),
) -> UsageRecord:
    """Set aside the most that a call can cost in every budget that covers its user.

    The record's `output_cap` is what must be sent upstream: it is lowered where the full one does
    not fit but a useful one does. Raises BudgetExhausted or MonthIsClosed, with nothing changed. Must be the last that
    the transaction does which writes what the call is for: it commits it. `write` is given the record
    and gives the statements that still need it, which run just before the room is taken. `meanwhile` is given it
    as it will be, if it will be, each time that the database is about to try.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("a hold belongs to the transaction that writes its message")
    key, groups, standing = answers or run(*reading(user=call.user, now=now))
    standings = budgets.opened(user=call.user, now=now, answer=standing)
    record = _record(call, standings, now)
    record.pk = key.rows[0][0]
    record.group_id, record.group_name = groups.rows[0] if groups.rows else (None, "")
    record.held_in = [standing.period_id for standing in standings]
    unwritten = [insert(record), _holds(record, standings), *write(record)]
    for _ in range(ATTEMPTS):
        try:
            with _of_open_month():
                finish(*unwritten, _BEFORE, *_takes(standings, record.hold), meanwhile=lambda: meanwhile(record))
            return record
        except Unchanged:
            run(_BACK)  # another call took the room since the budgets were read
            standings = budgets.again(standings)  # the record says in which it is held
            unwritten = [_lowered(record, call, standings)]
    transaction.set_rollback(True)
    raise budgets.tightest(standings).refusal()


def settle(
    *,
    record: UsageRecord,
    tokens: pricing.Tokens,
    outcome: str,
    measured: str,
    usage: dict[str, Any] | None,
    provider_request_id: str,
    now: datetime,
    claim: Sequence[Statement] = (),
) -> UsageRecord:
    """Replace the hold by the true cost. Raises AlreadyEnded, with nothing changed, where the record has ended.

    `claim`: what must change along with it, in the one transaction; where one changes nothing, that is AlreadyEnded
    too. A truth above the hold is booked and flagged, and so are tokens of a class that the price has no rate for:
    staff are told of both.
    """
    cost = pricing.cost(tokens=tokens, rates=record.held_price)
    unpriced = pricing.unpriced(tokens=tokens, rates=record.held_price)
    told = {alarms.tell_over_hold: cost > record.hold, alarms.tell_unpriced: bool(unpriced)}
    return _end(
        record,
        claim,
        [tell for tell, due in told.items() if due],
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


def release(
    *, record: UsageRecord, outcome: str, provider_request_id: str, now: datetime, claim: Sequence[Statement] = ()
) -> UsageRecord:
    """Give the whole hold back: the provider refused the call, so it cost nothing. Else as `settle`."""
    return _end(
        record,
        claim,
        state=UsageRecord.State.RELEASED,
        outcome=outcome,
        provider_request_id=provider_request_id,
        settled_at=now,
    )


def book(*, record: UsageRecord, periods: Iterable[int]) -> UsageRecord:
    """Write a correction that is complete but for its state: settled, and counted in the budget periods named.

    Its cost, which may be negative, is added to what they have spent. Belongs to the caller's transaction, of which
    nothing is left where it raises MonthIsClosed.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(
            "a correction belongs to the transaction that looked at its record"
        )
    record.state, record.settled_at = UsageRecord.State.SETTLED, record.held_at
    record.hold = record.input_bound = record.output_cap = 0
    with _of_open_month():
        record.save(force_insert=True)
    Hold.objects.bulk_create([Hold(record=record, period_id=period) for period in periods])
    run(*(Statement(_BOOK, [0, record.cost, period]) for period in _in_lock_order(record)))
    return record


def classes(names: Iterable[str]) -> str:
    """Token classes as a record keeps them: ordered, and no longer than its column."""
    return ", ".join(sorted(names))[:LONGEST_CLASSES]


@contextmanager
def _of_open_month() -> Iterator[None]:
    """Raises MonthIsClosed where the database takes no more records of a month."""
    try:
        yield
    except IntegrityError as error:
        if _CLOSED in str(error):
            raise MonthIsClosed(*error.args) from error
        raise


def _record(call: Call, standings: Sequence[Standing], now: datetime) -> UsageRecord:
    """The record of a call that fits what is left just now, not yet written, without its key and group."""
    cap = call.cap(budgets.tightest(standings))
    return UsageRecord(
        user=call.user,
        user_name=call.user.get_full_name(),
        feature=call.feature,
        model=call.price.model,
        price=call.price,
        key_fingerprint=call.key_fingerprint,
        api_token_id=call.api_token_id,
        spend_date=budgets.spend_date(now),
        held_at=now,
        input_bound=call.input_tokens,
        output_cap=cap,
        hold=call.most(cap),
        reason="",
        unpriced_classes="",
    )


def _lowered(record: UsageRecord, call: Call, standings: Sequence[Standing]) -> Statement:
    """Fit a record that is written already into what is left now."""
    try:
        record.output_cap = call.cap(budgets.tightest(standings))
    except BudgetExhausted:
        transaction.set_rollback(True)  # so that the record goes, whatever the caller does
        raise
    record.hold = call.most(record.output_cap)
    change = {"output_cap": record.output_cap, "hold": record.hold}
    return update(UsageRecord, change, where="id = %s", params=[record.pk])


def _holds(record: UsageRecord, standings: Sequence[Standing]) -> Statement:
    marks = ", ".join(["(%s, %s)"] * len(standings))
    places = [value for standing in standings for value in (record.pk, standing.period_id)]
    return Statement(f"INSERT INTO billing_hold (record_id, period_id) VALUES {marks}", places)  # noqa: S608


def _takes(standings: Iterable[Standing], amount: int) -> list[Statement]:
    """In the order of the standings, which is that of the locks: the row that all need comes last."""
    return [
        Statement(
            _TAKE,
            [
                amount, standing.period_id, amount,
                budgets.default_limit(scope=standing.scope, period=standing.period),
            ],
            must=True,
        )
        for standing in standings
    ]  # fmt: skip


def _end(
    record: UsageRecord, claim: Sequence[Statement], told: Sequence[Callable[..., None]] = (), **fields: Any
) -> UsageRecord:
    with transaction.atomic():  # the record, its periods and what is claimed change together or not at all
        ended = update(UsageRecord, fields, where="id = %s AND state = 'held'", params=[record.pk], must=True)
        cost = fields.get("cost", 0)
        booked = [Statement(_BOOK, [record.hold, cost, period]) for period in record.held_in or _in_lock_order(record)]
        try:
            if told:
                run(*claim, ended, *booked)
            else:
                finish(*claim, ended, *booked)
        except Unchanged:
            raise AlreadyEnded(record.pk) from None
        for name, value in fields.items():
            setattr(record, name, value)
        for tell in told:
            tell(record, now=record.settled_at)
    return record


def _in_lock_order(record: UsageRecord) -> list[int]:
    """The budget periods that a record counts in."""
    return [period for (period,) in run(Statement(_PERIODS, [record.pk]))[0].rows]
