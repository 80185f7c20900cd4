"""What staff want to see first: today and this month against the budgets, where it leads to, who and what spends.

Sums over a month of a large company take a second or so. Beat takes them each minute; a page takes
what is there as long as it is no older than a hundred times the time that it took. So a small
installation always sees this instant, and a large one never waits.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.core.cache import cache
from django.utils.translation import gettext as _

from accounts.models import User
from billing import budgets, chart, meters, totals
from billing.models import Account, Budget
from billing.purse import Meter
from billing.selection import Selection
from billing.snapshot import snapshot
from billing.usage import last_of_month

DAYS = 30  # of the spend by model
TOP = 10
DISABLED_SHOWN = 12
BUDGETS_SHOWN = 12
WEEKS = 4  # whose weekdays a forecast is made from
KEPT = 100  # times as long as it took to take it
SMALLEST = 0.2  # seconds: what takes less is not kept
_KEY = "billing:overview"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums, as of `taken_at`, in nano-dollars: by day and model, oldest first, and who spent most this month."""

    taken_at: datetime
    today: date
    models: tuple[str, ...]
    days: tuple[tuple[date, tuple[int, ...]], ...]
    spenders: tuple[tuple[int, int, int], ...]  # user, calls, cost

    @property
    def by_day(self) -> dict[date, int]:
        """What each day cost; of the last 31 days, so that all of this month is there."""
        return {day: sum(costs) for day, costs in self.days}

    @property
    def spent_today(self) -> int:
        """Today so far."""
        return self.by_day[self.today]

    @property
    def spent_this_month(self) -> int:
        """This month so far."""
        return sum(cost for day, cost in self.by_day.items() if day >= self.today.replace(day=1))

    @property
    def latest(self) -> tuple[tuple[date, tuple[int, ...]], ...]:
        """The last DAYS days."""
        return self.days[-DAYS:]

    @property
    def by_model(self) -> list[tuple[str, int]]:
        """What each model cost in those days, the dearest first."""
        costs = [sum(of_day[place] for _, of_day in self.latest) for place in range(len(self.models))]
        return sorted(zip(self.models, costs, strict=True), key=lambda line: -line[1])

    @property
    def forecast(self) -> int:
        """What this month will have cost at its end, if its other days cost what such weekdays cost lately.

        A weekday costs the mean of its last WEEKS; days before anything was ever spent don't count. Today costs
        what it has cost by now, or such a mean, whichever is more.
        """
        by_day = self.by_day
        began = min((day for day, cost in by_day.items() if cost), default=self.today)
        known = [day for day in by_day if began <= day < self.today][-7 * WEEKS :]
        of_weekday: dict[int, list[int]] = defaultdict(list)
        for day in known:
            of_weekday[day.weekday()].append(by_day[day])
        mean = sum(by_day[day] for day in known) // len(known) if known else 0
        expected = 0
        day, end = self.today, budgets.period_end(period=Budget.Period.MONTH, day=self.today).date()
        while day < end:
            costs = of_weekday[day.weekday()]
            likely = sum(costs) // len(costs) if costs else mean
            expected += likely if day > self.today else max(0, likely - by_day[day])
            day += timedelta(days=1)
        return self.spent_this_month + expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Spender:
    """One of those who spend most this month; `share` is a length, of the one who spends most."""

    user: User
    calls: int
    cost: int
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All of the dashboard."""

    sums: Sums
    chart: chart.Chart
    day: Meter | None
    month: Meter | None
    groups: list[Meter]
    spenders: list[Spender]
    disabled: list[Account]
    more_disabled: bool


def overview(*, now: datetime) -> Overview:
    """The dashboard's figures; five queries, or seven where the sums are taken anew."""
    found = _kept(now=now) or take(now=now)
    shared = meters.shared(now=now)
    disabled = list(Account.objects.disabled().select_related("user").order_by("-disabled_at")[: DISABLED_SHOWN + 1])
    everyone = {meter.standing.period: meter for meter in shared if meter.standing.scope == Budget.Scope.EVERYONE}
    groups = [meter for meter in shared if meter.standing.scope == Budget.Scope.GROUP]
    return Overview(
        sums=found,
        chart=_chart(found),
        day=everyone.get(Budget.Period.DAY),
        month=everyone.get(Budget.Period.MONTH),
        groups=sorted(groups, key=lambda meter: -meter.used)[:BUDGETS_SHOWN],
        spenders=_spenders(found),
        disabled=disabled[:DISABLED_SHOWN],
        more_disabled=len(disabled) > DISABLED_SHOWN,
    )


def take(*, now: datetime) -> Sums:
    """Add up, and keep it for pages where it took long; records that wait for the roll-up are counted too."""
    began = time.perf_counter()
    today = budgets.spend_date(now)
    first = today - timedelta(days=30)
    with snapshot():
        rows = totals.grouped(Selection(first=first, last=today), "day", "model")
        month = Selection(first=today.replace(day=1), last=last_of_month(today))
        spenders = totals.grouped(month, "user", order="cost DESC, user_id", limit=TOP)
    costs = {(day, model): totals.Total.of(sums).cost for day, model, *sums in rows}
    models = tuple(sorted({model for _, model in costs}, key=lambda name: (-_of_model(costs, name), name)))
    days = (first + timedelta(days=offset) for offset in range(31))
    found = Sums(
        taken_at=now,
        today=today,
        models=models,
        days=tuple((day, tuple(costs.get((day, model), 0) for model in models)) for day in days),
        spenders=tuple(
            (int(user), total.calls, total.cost)
            for user, total in ((user, totals.Total.of(sums)) for user, *sums in spenders)
            if total.cost > 0
        ),
    )
    took = time.perf_counter() - began
    if took > SMALLEST:
        cache.set(_KEY, found, timeout=took * KEPT)
    return found


def _of_model(costs: dict[tuple[date, str], int], name: str) -> int:
    return sum(cost for (_, model), cost in costs.items() if model == name)


def _kept(*, now: datetime) -> Sums | None:
    """What was taken before, unless a day has begun since."""
    found = cache.get(_KEY)
    return found if isinstance(found, Sums) and found.today == budgets.spend_date(now) else None


def _chart(found: Sums) -> chart.Chart:
    names = [model or _("without a model") for model, _cost in found.by_model]
    places = [found.models.index(model) for model, _cost in found.by_model]
    return chart.draw(days=[(day, [costs[place] for place in places]) for day, costs in found.latest], names=names)


def _spenders(found: Sums) -> list[Spender]:
    users = User.objects.in_bulk([user for user, *_ in found.spenders])
    most = max((cost for *_, cost in found.spenders), default=0)
    return [
        Spender(user=users[user], calls=calls, cost=cost, share=_percent(cost, most))
        for user, calls, cost in found.spenders
        if user in users
    ]


def _percent(part: int, whole: int) -> str:
    return f"{part * 100 / whole:.1f}%" if whole > 0 else "0%"
