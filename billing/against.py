"""Budgets against what was spent: of each, its fullest day or month among some days, and how often it was used up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Case, Count, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from billing import budgets
from billing.budgets import Standing
from billing.models import Budget, BudgetPeriod
from billing.purse import Meter
from billing.selection import Selection

MOST = 50  # budgets that are shown, those with the most spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A budget by its limit of now. `fullest`: the first day of the period in which most of it was spent."""

    meter: Meter
    fullest: date
    reached: int  # periods in which all of it was spent

    @property
    def daily(self) -> bool:
        """Whether it is a limit on a day, not on a month."""
        return self.meter.standing.period == Budget.Period.DAY


def against(selection: Selection) -> list[Against]:
    """Everyone's and the groups' budgets; of one group or one user, where the report is about them; one query.

    Days and months count that begin among the days. Nothing where the report is about a part of what budgets are of.
    """
    if selection.model is not None or selection.feature is not None or selection.key is not None:
        return []
    if selection.user is not None:
        which = Q(scope=Budget.Scope.USER, user=selection.user)
    elif selection.group is not None:
        which = Q(scope=Budget.Scope.GROUP, group__name=selection.group)
    else:
        which = Q(scope=Budget.Scope.EVERYONE) | Q(scope=Budget.Scope.GROUP)
    return [found for _user, found in _fullest(which, selection, most=MOST)]


def of_users(selection: Selection, users: Iterable[int]) -> dict[int, Against]:
    """How the users' own monthly budgets stood in the month that a selection is; one query."""
    if selection.month is None:
        return {}
    which = Q(scope=Budget.Scope.USER, period=Budget.Period.MONTH, user__in=list(users))
    return {user: found for user, found in _fullest(which, selection) if user is not None}


def _fullest(which: Q, selection: Selection, most: int | None = None) -> list[tuple[int | None, Against]]:
    within = BudgetPeriod.objects.filter(budget=OuterRef("pk"), start__range=(selection.first, selection.last))
    fullest = within.order_by("-spent", "start")
    reached = within.filter(spent__gte=OuterRef("cap")).order_by().values("budget").annotate(number=Count("pk"))
    rows: Any = (
        Budget.objects.filter(which)
        .annotate(
            cap=Coalesce(F("limit"), _default()),
            fullest=Subquery(fullest.values("start")[:1]),
            spent=Subquery(fullest.values("spent")[:1]),
            reached=Coalesce(Subquery(reached.values("number")), Value(0)),
        )
        .exclude(fullest=None)
        .order_by("scope", "-spent", "pk")
        .values("pk", "scope", "period", "user_id", "group__name", "cap", "fullest", "spent", "reached")
    )
    return [(row["user_id"], _against(row)) for row in rows[:most]]


def _default() -> Case:
    """The limit of a budget that nobody has set one for."""
    return Case(
        *(
            When(scope=scope, period=period, then=Value(budgets.default_limit(scope=scope, period=period)))
            for scope, period in budgets.DEFAULTS
        ),
        default=Value(0),
    )


def _against(row: dict[str, Any]) -> Against:
    standing = Standing(
        budget_id=row["pk"], period_id=0, scope=row["scope"], period=row["period"], whom=row["group__name"] or "",
        limit=row["cap"], spent=row["spent"], held=0,
        resets_at=budgets.period_end(period=row["period"], day=row["fullest"]),
    )  # fmt: skip
    label = {Budget.Scope.EVERYONE: _("Everyone"), Budget.Scope.USER: _("Their own")}.get(row["scope"], standing.whom)
    return Against(meter=Meter(standing=standing, label=label), fullest=row["fullest"], reached=row["reached"])
