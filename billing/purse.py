"""What a person's own budgets look like to them: the meters of the sidebar and of the usage page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import User
from billing import budgets
from billing.budgets import Standing
from billing.enforcement import State, account_state
from billing.models import Budget

NEAR = 80  # percent used from which the meter warns
THINNEST_HOLD = 100  # hundredths of a percent of the meter's width: a hold is never drawn thinner


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One budget's figures and its bar; widths are SVG lengths such as `41.29%`."""

    standing: Standing
    label: str

    @property
    def spent_width(self) -> str:
        """The solid part."""
        return _percent(self._spent)

    @property
    def held_width(self) -> str:
        """The hatched part that follows it."""
        if not self.standing.held:
            return _percent(0)
        return _percent(min(10_000 - self._spent, max(THINNEST_HOLD, self._share(self.standing.held))))

    @property
    def used(self) -> int:
        """Whole percent spent or held, rounded up so that it never flatters."""
        if self.standing.limit == 0:
            return 100
        return max(0, -(-(self.standing.spent + self.standing.held) * 100 // self.standing.limit))

    @property
    def near(self) -> bool:
        """Whether it is time to say that little is left."""
        return self.used >= NEAR

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return self.standing.left == 0

    @property
    def _spent(self) -> int:
        return min(10_000, self._share(max(0, self.standing.spent))) if self.standing.limit else 10_000

    def _share(self, amount: int) -> int:
        return amount * 10_000 // self.standing.limit if self.standing.limit else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """A user's own daily and monthly budget, and what stops them from sending, if something does."""

    day: Meter
    month: Meter
    stopped_by: Standing | None
    account: State

    @property
    def meters(self) -> tuple[Meter, Meter]:
        """The day, then the month."""
        return self.day, self.month

    @property
    def left(self) -> int:
        """What a further call may cost at most by the user's own budgets, in nano-dollars."""
        return min(self.day.standing.left, self.month.standing.left)


def purse(*, user: User, now: datetime) -> Purse:
    """A user's purse as it stands; two queries, more only for a user who has no budgets yet."""
    found = budgets.standings(user=user, now=now)
    local = now.astimezone(settings.BILLING_TIME_ZONE)
    empty = [standing for standing in found if standing.left == 0]
    return Purse(
        day=Meter(standing=_own(found, Budget.Period.DAY), label=_("Today")),
        month=Meter(standing=_own(found, Budget.Period.MONTH), label=date_format(local, "F")),
        # the one that opens last, since all of them must have room
        stopped_by=max(empty, key=lambda standing: standing.resets_at, default=None),
        account=account_state(user=user, now=now),
    )


def _own(found: Iterable[Standing], period: str) -> Standing:
    return next(standing for standing in found if standing.scope == Budget.Scope.USER and standing.period == period)


def _percent(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02d}%"
