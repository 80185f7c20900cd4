"""Soft thresholds: a budget that is half, four fifths or wholly spent, told once a period.

A user's own budget is told to the user, one of a group or of everyone to staff. What was passed at
once is told at once: of several thresholds the highest has a mail, and the others are marked as told.
What is passed in a period's last minute, or by a call that settles after its end, is told just after it.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from accounts import dates, language
from accounts.models import User
from billing import budgets, money, notices
from billing.budgets import Standing
from billing.models import Account, Budget, BudgetPeriod, Notice

# Percent of the limit, and the divisor that takes what is above it off the limit: of integers, exact,
# and without a product that could overflow. 80% of it is the limit less a fifth, rounded up.
THRESHOLDS = {50: 2, 80: 5, 100: None}
AFTER_ITS_END = timedelta(minutes=15)  # for which a period is looked at: its last calls have settled by then


def watch(*, now: datetime) -> int:
    """Owe a mail for each threshold that a budget period has passed which runs, or has just ended; returns for how many
    periods.

    Two at once write the same rows, and each row is there once: it is unique by period and threshold,
    also where a limit is raised and reached again.
    """
    return sum(
        _tell(row, now=now)
        for scope in Budget.Scope
        for period in Budget.Period
        for row in list(_to_tell(scope=scope, period=period, now=now))
    )


def _to_tell(*, scope: Budget.Scope, period: Budget.Period, now: datetime) -> QuerySet[BudgetPeriod]:
    """Periods that have passed a threshold for which there is no notice yet, with their limit."""
    untold = Q()
    for percent, divisor in THRESHOLDS.items():
        needed: Any = F("limit") - F("limit") / divisor if divisor else F("limit")
        untold |= Q(spent__gte=needed) & ~Q(Exists(Notice.objects.filter(period=OuterRef("pk"), threshold=percent)))
    return (
        BudgetPeriod.objects.filter(
            start__in={
                budgets.period_start(period=period, day=budgets.spend_date(at)) for at in (now, now - AFTER_ITS_END)
            },
            budget__scope=scope,
            budget__period=period,
            spent__gt=0,
        )
        .annotate(limit=Coalesce(F("budget__limit"), budgets.default_limit(scope=scope, period=period)))
        .filter(untold, limit__gt=0)
        .select_related("budget__user__account", "budget__group")
        .order_by("pk")
    )


def _tell(row: Any, *, now: datetime) -> bool:
    limit: int = row.limit
    passed = [
        percent for percent, divisor in THRESHOLDS.items() if row.spent >= limit - (limit // divisor if divisor else 0)
    ]
    with language.speaking_to(row.budget.user):
        subject, text = _words(row, limit=limit, percent=passed[-1], now=now)
    reachable = row.budget.user is None or _may_be_told(row.budget.user)
    owed = [
        Notice(
            key=f"threshold:{row.pk}:{percent}",
            period=row,
            threshold=percent,
            user=row.budget.user,
            created_at=now,
            due_at=now,
            **({"subject": subject, "text": text} if percent == passed[-1] and reachable else {"sent_at": now}),
        )
        for percent in passed
    ]
    Notice.objects.bulk_create(owed, ignore_conflicts=True)
    return True


def _may_be_told(user: User) -> bool:
    """Whether the user still belongs here: whose sign-in staff took away is not written to."""
    account: Account | None = getattr(user, "account", None)
    return user.is_active or (account is not None and account.sign_in_taken)


def _words(row: BudgetPeriod, *, limit: int, percent: int, now: datetime) -> tuple[str, str]:
    """Subject and text."""
    budget = row.budget
    standing = Standing(
        budget_id=budget.pk,
        period_id=row.pk,
        scope=budget.scope,
        period=budget.period,
        whom=budget.group.name if budget.group else "",
        limit=limit,
        spent=row.spent,
        held=row.held,
        resets_at=budgets.period_end(period=budget.period, day=row.start),
    )
    spent, given = money.to_json(row.spent), money.to_json(limit)
    runs = now < standing.resets_at
    said = _("$%(spent)s of %(budget)s, $%(limit)s, are spent: %(percent)d%%. It starts again at %(at)s.")
    if not runs:
        said = _("$%(spent)s of %(budget)s, $%(limit)s, were spent: %(percent)d%%. It started again at %(at)s.")
    sentences = [
        said
        % {
            "spent": spent,
            "budget": standing.name,
            "limit": given,
            "percent": row.spent * 100 // limit,
            "at": dates.instant(standing.resets_at),
        }
    ]
    if percent == max(THRESHOLDS) and runs:
        sentences.append(_("Until then, or until its limit is raised, a message that does not fit it is refused."))
        if budget.at_limit == Budget.AtLimit.DEACTIVATE:
            sentences.append(_("So long, you can't sign in either; your conversations stay."))
    if budget.scope == Budget.Scope.USER:
        sentences.append(
            _("To be given more, ask %(administrator)s.") % {"administrator": settings.ADMINISTRATOR_EMAIL}
        )
    subject = _("%(percent)d%% of %(budget)s are spent") if runs else _("%(percent)d%% of %(budget)s were spent")
    return notices.title(subject % {"percent": percent, "budget": standing.name}), " ".join(sentences)
