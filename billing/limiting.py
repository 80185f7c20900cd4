"""Limits that people set: given, raised, and written in the trail."""

from __future__ import annotations

from copy import copy
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest
from accounts.models import User
from billing import acts, budgets, money
from billing.models import Act, Budget


@transaction.atomic
def set_limit(
    *,
    user: User,
    period: str,
    limit: int | None,
    by: User | None = None,
    now: datetime | None = None,
    reason: str = "",
    idempotency_key: UUID | None = None,
) -> Budget:
    """Give a user a limit of their own, in nano-dollars, or the default again; the next call obeys it.

    Where somebody does it (`by`, at an instant), it is written in the trail. Raises as `acts.record`.
    """
    budget, made = _locked(user=user, period=period)
    before = None if made else copy(budget)
    budget.limit = limit
    budget.save(update_fields=["limit"])
    if now is not None:
        note_change(budget=budget, before=before, by=by, now=now, reason=reason, idempotency_key=idempotency_key)
    return budget


@transaction.atomic
def raise_limit(
    *,
    user: User,
    period: str,
    more: int,
    by: User,
    now: datetime,
    reason: str = "",
    idempotency_key: UUID | None = None,
) -> Budget:
    """Give a user so many nano-dollars more than their limit is now, be it the default. Two at once add both.

    Raises AlreadyDone where the key has raised a limit of the user before, InvalidRequest above the largest amount.
    """
    limit = _locked(user=user, period=period)[0].limit
    if limit is None:
        limit = budgets.default_limit(scope=Budget.Scope.USER, period=period)
    if limit + more > money.LARGEST:
        most = money.shown(money.LARGEST, places=0, up=False)
        raise InvalidRequest(_("No limit can be above %(most)s, and that of %(user)s would be.") % {
            "most": most, "user": user
        })  # fmt: skip
    return set_limit(
        user=user, period=period, limit=limit + more, by=by, now=now, reason=reason, idempotency_key=idempotency_key
    )


def _locked(*, user: User, period: str) -> tuple[Budget, bool]:
    """A user's own budget, locked against other changes of it, not against calls; and whether it was missing."""
    rows = Budget.objects.select_for_update(no_key=True)
    return rows.get_or_create(scope=Budget.Scope.USER, user=user, period=period)


def note_change(
    *,
    budget: Budget,
    before: Budget | None,
    by: User | None,
    now: datetime,
    reason: str = "",
    idempotency_key: UUID | None = None,
) -> None:
    """Write in the trail that a budget was made or changed; nothing where it is as before."""
    with translation.override("en"):  # the trail is in one language, whoever writes in it
        was, is_now = _said(before) if before else "", _said(budget)
        if was != is_now:
            acts.record(
                kind=Act.Kind.LIMIT, by=by, now=now, subject=str(budget), user=budget.user, before=was, after=is_now,
                reason=reason, idempotency_key=idempotency_key,
            )  # fmt: skip


def _said(budget: Budget) -> str:
    amount = "the default" if budget.limit is None else f"${money.to_json(budget.limit)}"
    return f"{amount}; at the limit: {Budget.AtLimit(budget.at_limit).label}"
