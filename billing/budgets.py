"""Which budgets cover a user, and what is left in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from accounts import dates
from accounts.errors import Refusal
from accounts.models import User
from accounts.statements import Found, Statement, run
from billing import money
from billing.models import Budget, BudgetPeriod


class BudgetExhausted(Refusal):
    """A budget that covers the user has no room for a useful answer."""

    code, status = "budget_exhausted", 402


# The budgets that always cover a user, by scope and period, each with the setting of its limit where nobody sets one.
DEFAULTS: dict[tuple[str, str], str] = {
    (Budget.Scope.USER, Budget.Period.DAY): "BILLING_DAILY_BUDGET_USD",
    (Budget.Scope.USER, Budget.Period.MONTH): "BILLING_MONTHLY_BUDGET_USD",
    (Budget.Scope.EVERYONE, Budget.Period.DAY): "BILLING_EVERYONE_DAILY_BUDGET_USD",
}


def default_limit(*, scope: str, period: str) -> int:
    """The limit, in nano-dollars, of a budget for which nobody has set one; 0 where none is ever left unset."""
    setting = DEFAULTS.get((scope, period))
    return money.to_nano(getattr(settings, setting)) if setting else 0


def spend_date(now: datetime) -> date:
    """The calendar day of an instant in the billing time zone."""
    return now.astimezone(settings.BILLING_TIME_ZONE).date()


def period_start(*, period: str, day: date) -> date:
    """The first spend date of the period in which a day lies."""
    return day if period == Budget.Period.DAY else day.replace(day=1)


def period_end(*, period: str, day: date) -> datetime:
    """The instant at which the period of a day ends and the next begins, in the billing time zone."""
    if period == Budget.Period.DAY:
        following = day + timedelta(days=1)
    else:
        following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime.combine(following, time.min, tzinfo=settings.BILLING_TIME_ZONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one budget stands in its running period; amounts in nano-dollars."""

    budget_id: int  # 0: the budget has no row yet
    period_id: int  # 0: the period has no row yet
    scope: str
    period: str
    whom: str
    limit: int
    spent: int
    held: int
    resets_at: datetime

    @property
    def left(self) -> int:
        """What a further call may cost at most; never negative."""
        return max(0, self.limit - self.spent - self.held)

    @property
    def name(self) -> str:
        """What people call it: `your daily budget`."""
        daily = self.period == Budget.Period.DAY
        match self.scope:
            case Budget.Scope.USER:
                return _("your daily budget") if daily else _("your monthly budget")
            case Budget.Scope.GROUP:
                said = _("the daily budget of %(group)s") if daily else _("the monthly budget of %(group)s")
                return said % {"group": self.whom}
        return _("the daily budget of everyone") if daily else _("the monthly budget of everyone")

    def as_json(self) -> dict[str, Any]:
        """The API's `budget` object."""
        return {
            "remaining_usd": money.to_json(self.left),
            "limit_usd": money.to_json(self.limit),
            "period": self.period,
            "resets_at": self.resets_at.isoformat(),
        }

    def refusal(self) -> BudgetExhausted:
        """The error for a call that does not fit here."""
        limit = money.shown(self.limit, places=2, up=False)
        return BudgetExhausted(
            _(
                "%(budget)s of %(limit)s has no room for this message. It starts again at %(at)s. "
                "To go on sooner, ask %(administrator)s. Nothing was charged."
            )
            % {
                "budget": f"{self.name[0].upper()}{self.name[1:]}",
                "limit": limit,
                "at": dates.instant(self.resets_at),
                "administrator": settings.ADMINISTRATOR_EMAIL,
            },
            budget=f"{self.scope}_{self.period}",
            remaining_usd=money.to_json(self.left),
            resets_at=self.resets_at.isoformat(),
        )


_ORDER: dict[str, int] = {Budget.Scope.USER: 0, Budget.Scope.GROUP: 1, Budget.Scope.EVERYONE: 2}

# In the order in which locks are taken: the row that every call needs last, so that it is held shortest. The start is
# one value for each budget, so that a running period is looked up by its key and not among everybody's of today.
_READ = """
SELECT budget.id, budget.scope, budget.period, budget."limit",
    (SELECT name FROM auth_group WHERE auth_group.id = budget.group_id), running.id, running.spent, running.held
FROM billing_budget AS budget
LEFT JOIN billing_budgetperiod AS running ON running.budget_id = budget.id
    AND running.start = CASE budget.period WHEN 'day' THEN date(%s) ELSE date(%s) END
WHERE budget.scope = 'user' AND budget.user_id = %s
    OR budget.scope = 'group' AND budget.group_id IN (SELECT group_id FROM accounts_user_groups WHERE user_id = %s)
    OR budget.scope = 'everyone'
ORDER BY CASE budget.scope WHEN 'user' THEN 0 WHEN 'group' THEN 1 ELSE 2 END, budget.id
"""
_AGAIN = """
SELECT budget."limit", running.spent, running.held FROM billing_budgetperiod AS running
JOIN billing_budget AS budget ON budget.id = running.budget_id
WHERE running.id = %s
"""


def reading(*, user: User, now: datetime) -> Statement:
    """What `standings` asks; for whoever asks something else in the same trip, and gives it the answer."""
    day = spend_date(now)
    return Statement(_READ, [day, day.replace(day=1), user.pk, user.pk])


def _read(rows: Iterable[Any], *, day: date) -> list[Standing]:
    return [
        Standing(
            budget_id=budget_id,
            period_id=period_id or 0,
            scope=scope,
            period=period,
            whom=group or "",
            limit=default_limit(scope=scope, period=period) if limit is None else limit,
            spent=spent or 0,
            held=held or 0,
            resets_at=period_end(period=period, day=day),
        )
        for budget_id, scope, period, limit, group, period_id, spent, held in rows
    ]


def standings(*, user: User, now: datetime, answer: Found | None = None) -> list[Standing]:
    """Every budget that covers a user, in lock order: their own two, their groups' and everyone's. Only reads.

    `answer`: that to `reading`, where it was asked already.
    """
    day = spend_date(now)
    found = _read((answer or run(reading(user=user, now=now))[0]).rows, day=day)
    have = {(standing.scope, standing.period) for standing in found}
    missing = [
        unspent(scope=scope, period=period, day=day) for scope, period in DEFAULTS if (scope, period) not in have
    ]
    return sorted([*found, *missing], key=lambda standing: _ORDER[standing.scope]) if missing else found


def opened(*, user: User, now: datetime, answer: Found | None = None) -> list[Standing]:
    """`standings`, each with its row and its running period's, made where they were missing. For `ledger`."""
    found, day = standings(user=user, now=now, answer=answer), spend_date(now)
    while missing := [standing for standing in found if not standing.period_id]:  # a budget's row first, then its own
        rows = [_row(standing, user) for standing in missing if not standing.budget_id]
        Budget.objects.bulk_create(rows, ignore_conflicts=True)
        BudgetPeriod.objects.bulk_create(
            [
                BudgetPeriod(budget_id=standing.budget_id, start=period_start(period=standing.period, day=day))
                for standing in missing
                if standing.budget_id
            ],
            ignore_conflicts=True,
        )
        found = standings(user=user, now=now)
    return found


def again(found: Sequence[Standing]) -> list[Standing]:
    """How the very same periods stand by now, whichever budgets cover their user meanwhile; in the same order."""
    answers = run(*(Statement(_AGAIN, [standing.period_id]) for standing in found))
    return [
        replace(
            standing,
            limit=default_limit(scope=standing.scope, period=standing.period) if limit is None else limit,
            spent=spent,
            held=held,
        )
        for standing, answer in zip(found, answers, strict=True)
        for limit, spent, held in answer.rows
    ]


def unspent(*, scope: str, period: str, day: date) -> Standing:
    """A budget that has no row yet: nobody has set its limit, and nobody has spent of it."""
    return Standing(
        budget_id=0, period_id=0, scope=scope, period=period, whom="",
        limit=default_limit(scope=scope, period=period), spent=0, held=0,
        resets_at=period_end(period=period, day=day),
    )  # fmt: skip


def _row(standing: Standing, user: User) -> Budget:
    own = standing.scope == Budget.Scope.USER
    return Budget(scope=standing.scope, user=user if own else None, period=standing.period)


def tightest(found: Iterable[Standing]) -> Standing:
    """The budget with the least left, the sooner reset first where two have the same."""
    return min(found, key=lambda standing: (standing.left, standing.resets_at))
