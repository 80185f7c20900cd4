"""How budgets stand, of many users at once and of everyone: for the pages of staff."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, FilteredRelation, Q, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from accounts.models import User
from billing import budgets
from billing.budgets import Standing
from billing.models import Budget, BudgetPeriod
from billing.purse import Meter

# Percent of a limit, and the divisor that takes what is above it off the limit: integers, exact, no overflow.
NEAR = 80
_OFF_LIMIT = {NEAR: 5, 100: None}
# Written so that the unique indexes of these scopes serve; there are as many budgets as users, twice.
_SHARED = Q(scope=Budget.Scope.EVERYONE, period__in=Budget.Period.values) | Q(
    scope=Budget.Scope.GROUP, group__isnull=False
)


def shared(*, now: datetime) -> list[Meter]:
    """The budgets of everyone, the daily one always among them, and those of the groups; one query."""
    found = list(_standings(_SHARED, now=now))
    scope, period = Budget.Scope.EVERYONE, Budget.Period.DAY
    if (scope, period) not in {(standing.scope, standing.period) for _user, standing in found}:
        found.append((None, budgets.unspent(scope=scope, period=period, day=budgets.spend_date(now))))
    return [Meter(standing=standing, label=standing.whom or _("Everyone")) for _user, standing in found]


def of_users(users: Sequence[User], *, now: datetime) -> dict[int, dict[str, Meter]]:
    """Users' own budgets, by user and period; one query. Who has no budget yet has not spent anything."""
    day = budgets.spend_date(now)
    found: dict[int, dict[str, Meter]] = {
        user.pk: {
            period: Meter(standing=budgets.unspent(scope=Budget.Scope.USER, period=period, day=day), label=label)
            for period, label in ((Budget.Period.DAY, _("Today")), (Budget.Period.MONTH, _("This month")))
        }
        for user in users
    }
    for user, standing in _standings(Q(scope=Budget.Scope.USER, user__in=[user.pk for user in users]), now=now):
        if user in found:
            label = found[user][standing.period].label
            found[user][standing.period] = Meter(standing=standing, label=label)
    return found


def users_over(*, percent: int, now: datetime, most: int) -> list[int]:
    """Ids of users who have spent at least so much (80 or 100 percent) of their own daily or monthly budget.

    At most so many: one query over the running periods, whatever came before.
    """
    parts = []
    for period in Budget.Period:
        start = budgets.period_start(period=period, day=budgets.spend_date(now))
        running = BudgetPeriod.objects.filter(
            start=start, spent__gt=0, budget__scope=Budget.Scope.USER, budget__period=period
        )
        divisor, own = _OFF_LIMIT[percent], F("budget__limit")
        default = budgets.default_limit(scope=Budget.Scope.USER, period=period)
        least = default - default // divisor if divisor else default
        needed: Any = own - own / divisor if divisor else own
        # Apart, as the default is a number that the rows of most users are held against by themselves.
        over = (Q(budget__limit=None, spent__gte=least), Q(budget__limit__isnull=False, spent__gte=needed))
        parts += [running.filter(which).order_by().values_list("budget__user", flat=True) for which in over]
    found: Iterable[int | None] = parts[0].union(*parts[1:])[:most]
    return [user for user in found if user is not None]


def _standings(which: Q, *, now: datetime) -> Iterable[tuple[int | None, Standing]]:
    """Budgets with their running period, each with its user; one query."""
    day = budgets.spend_date(now)
    running = Q(period=Budget.Period.DAY, periods__start=day)
    running |= Q(period=Budget.Period.MONTH, periods__start=day.replace(day=1))
    rows = (
        Budget.objects.filter(which)
        # The list of both dates lets the database use the index on budget and start.
        .annotate(
            running=FilteredRelation("periods", condition=Q(periods__start__in={day, day.replace(day=1)}) & running)
        )
        .values(
            "pk", "scope", "period", "limit", "group__name", "user_id",
            period_id=F("running__pk"),
            spent=Coalesce(F("running__spent"), Value(0)),
            held=Coalesce(F("running__held"), Value(0)),
        )
    )  # fmt: skip
    for row in rows:
        default = budgets.default_limit(scope=row["scope"], period=row["period"])
        yield (
            row["user_id"],
            Standing(
                budget_id=row["pk"],
                period_id=row["period_id"] or 0,
                scope=row["scope"],
                period=row["period"],
                whom=row["group__name"] or "",
                limit=default if row["limit"] is None else row["limit"],
                spent=row["spent"],
                held=row["held"],
                resets_at=budgets.period_end(period=row["period"], day=day),
            ),
        )
