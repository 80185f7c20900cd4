"""Months of it, day after day: calls in bulk, with the budgets kept; corrections by the functions that staff use.

Calls are written here without the ledger, which takes one at a time; the same rules hold, and
`audit_ledger` says so: a call that does not fit every budget is not made, a period's `spent` is the
sum of its records, each record names its price and its hold.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from accounts.models import User
from billing import budgets, closing, corrections, enforcement, limiting, money, pricing, rollup, turns
from billing.budgets import Standing
from billing.demo import calls, company
from billing.models import Account, Budget, BudgetPeriod, Hold, Price, UsageRecord
from billing.turns import Turn

NEAR, EMPTY, GONE = "greta@example.com", "hugo@example.com", "farid@example.com"
NEAR_PERCENT = 93


@dataclass(slots=True, kw_only=True)
class Seeded:
    """What was added."""

    days: int = 0
    records: int = 0
    skipped: list[date] = field(default_factory=list)


def seed(*, months: int, by: User, prices: dict[str, Price], now: datetime) -> Seeded:
    """Add the calls of the last months, this one to this instant included; days that have demo calls stay as they are.

    `by` does what staff do. Must run outside any transaction.
    """
    people = company.make(by=by, now=now)
    today = budgets.spend_date(now)
    first = _first_day(today, months)
    there = set(_marked().filter(spend_date__gte=first).order_by().values_list("spend_date", flat=True).distinct())
    done = Seeded()
    for offset in range((today - first).days + 1):
        day = first + timedelta(days=offset)
        if day in there:
            continue
        if closing.is_closed(day=day):
            done.skipped.append(day)
            continue
        try:
            added = _seed_day(day, people=people, by=by, prices=prices, now=now)
        except (IntegrityError, corrections.NotCorrectable):
            if not closing.is_closed(day=day):
                raise
            done.skipped.append(day)  # somebody has closed its month just now
            continue
        if added is not None:
            done.records += added
            done.days += 1
    rollup.roll_up()
    _settle_down(people, by=by, now=now)
    return done


def _marked() -> QuerySet[UsageRecord]:
    return UsageRecord.objects.filter(provider_request_id__startswith=calls.MARK)


@transaction.atomic
def _seed_day(day: date, *, people: list[User], by: User, prices: dict[str, Price], now: datetime) -> int | None:
    """How many records were added; None where another run has added the day's meanwhile."""
    turns.take(Turn.CORRECTION, shared=True)  # which corrections take before budget periods
    noon = datetime.combine(day, time(12), tzinfo=settings.BILLING_TIME_ZONE)
    covering = {user.email: budgets.opened(user=user, now=noon) for user in people}
    users = {user.email: user for user in people}
    periods = {standing.period_id for found in covering.values() for standing in found}
    room = _Room(BudgetPeriod.objects.select_for_update().filter(pk__in=periods).order_by("pk"))
    if _marked().filter(spend_date=day).exists():
        return None
    made: list[tuple[UsageRecord, list[Standing]]] = []
    for number, call in enumerate(calls.of_day(day)):
        standings = covering[call.person.email]
        record = calls.record(call=call, price=prices[call.model], number=number)
        if record.settled_at and record.settled_at <= now and room.take(record, standings):
            _name(record, users[call.person.email], day=day)
            made.append((record, standings))
    UsageRecord.objects.bulk_create([record for record, _ in made])
    Hold.objects.bulk_create(
        [Hold(record=record, period_id=standing.period_id) for record, found in made for standing in found]
    )
    for period, spent in sorted(room.added.items()):
        BudgetPeriod.objects.filter(pk=period).update(spent=F("spent") + spent)
    return len(made) + _correct(day, by=by, now=now)


class _Room:
    """What the budgets have left in the course of a day."""

    def __init__(self, periods: Iterable[BudgetPeriod]) -> None:
        self.used = {period.pk: period.spent + period.held for period in periods}
        self.added: dict[int, int] = defaultdict(int)

    def take(self, record: UsageRecord, standings: list[Standing]) -> bool:
        """Book the record's cost where its hold fits everywhere; says whether it did."""
        if any(self.used[place.period_id] + record.hold > place.limit for place in standings):
            return False
        for place in standings:
            self.used[place.period_id] += record.cost
            self.added[place.period_id] += record.cost
        return True


def _name(record: UsageRecord, user: User, *, day: date) -> None:
    group = min(user.groups.all(), key=lambda group: group.pk, default=None)
    record.user, record.user_name, record.spend_date = user, user.get_full_name(), day
    record.group_id, record.group_name = (group.pk, group.name) if group else (None, "")


def _correct(day: date, *, by: User, now: datetime) -> int:
    """What staff book on a few days of each month."""
    at = datetime.combine(day, time(17, 30), tzinfo=settings.BILLING_TIME_ZONE)
    act: dict[int, Callable[..., int]] = {6: _settle_estimate, 9: _credit, 13: _take_back, 20: _write_off}
    return act[day.day](day, by=by, now=at) if day.day in act and at <= now else 0


def _credit(day: date, *, by: User, now: datetime) -> int:
    user = User.objects.get(email="ada@example.com")
    corrections.grant_credit(
        user=user, amount=money.to_nano(Decimal("0.50")), by=by, now=now, reason="Three answers were cut off by us."
    )
    return 1


def _write_off(day: date, *, by: User, now: datetime) -> int:
    user = User.objects.get(email="chen@example.com")
    corrections.write_off(
        user=user, amount=money.to_nano(Decimal("0.25")), by=by, now=now, reason="A load test, charged to nobody."
    )
    return 1


def _take_back(day: date, *, by: User, now: datetime) -> int:
    record = _call_before(day, measured=UsageRecord.Measured.PROVIDER)
    if record is None:
        return 0
    corrections.reverse(record=record, by=by, now=now, reason="The provider did not charge this call.")
    return 1


def _settle_estimate(day: date, *, by: User, now: datetime) -> int:
    record = _call_before(day, measured=UsageRecord.Measured.ESTIMATED)
    if record is None:
        return 0
    tokens = pricing.Tokens(
        input=record.input_tokens, cached_input=record.cached_input_tokens, output=record.output_tokens + 7
    )
    corrections.correct(record=record, tokens=tokens, by=by, now=now, reason="Settled by the provider's usage.")
    return 2


def _call_before(day: date, *, measured: str) -> UsageRecord | None:
    week = (day - timedelta(days=7), day - timedelta(days=1))
    return (
        UsageRecord.objects.filter(
            spend_date__range=week, provider_request_id__startswith=calls.MARK, measured=measured, corrections=None,
            kind=UsageRecord.Kind.CALL, state=UsageRecord.State.SETTLED,
        )
        .order_by("-cost", "pk")
        .first()
    )  # fmt: skip


@transaction.atomic
def _settle_down(people: list[User], *, by: User, now: datetime) -> None:
    """One near the limit, one whose budget is used up, one whom staff have disabled: once, not at every run."""
    enforcement.lock(users=people)
    found = {user.email: user for user in people}
    for email, percent in ((NEAR, NEAR_PERCENT), (EMPTY, 101)):
        user = found[email]
        own = next(s for s in budgets.standings(user=user, now=now) if s.scope == "user" and s.period == "month")
        untouched = Budget.objects.filter(pk=own.budget_id, limit=None).exists()
        if untouched and own.spent > 0:
            limiting.set_limit(
                user=user, period=Budget.Period.MONTH, limit=own.spent * 100 // percent, by=by, now=now,
                reason="Demo data",
            )  # fmt: skip
    if not Account.objects.filter(user=found[GONE]).disabled().exists():
        enforcement.disable(
            users=[found[GONE]], by=Account.By.STAFF, reason="On leave until January.", until=None, now=now, actor=by
        )  # fmt: skip
    enforcement.enforce_budgets(now=now)


def _first_day(today: date, months: int) -> date:
    first = today.replace(day=1)
    for _ in range(months - 1):
        first = (first - timedelta(days=1)).replace(day=1)
    return first
