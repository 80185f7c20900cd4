"""The pages of staff and finance at size: how long the database works for each, and in how many queries.

`python -m benchmarks.money_admin` in a process whose DATABASE_URL has the records prints the figures as JSON;
`rows` runs it so, and makes lines of the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from benchmarks.figures import Row, median
from deploy.processes import ROOT

BAR = 300  # milliseconds in the database, a page
TIMES = 5
STAFF = "bench-staff@example.com"
NOTHING_KEPT = "the dashboard's first view, nothing kept"
PAGES = {
    NOTHING_KEPT: "/admin/",
    "dashboard": "/admin/",
    "users": "/admin/accounts/user/",
    "users over 80%": "/admin/accounts/user/?budget=80",
    "users used up": "/admin/accounts/user/?budget=100",
    "users, the hundredth page": "/admin/accounts/user/?p=100",
    "users, a search": "/admin/accounts/user/?q=spender-77",
    "users, a search for nobody": "/admin/accounts/user/?q=no+such+name",
    "users of a group": "/admin/accounts/user/?groups__id__exact={group}",
    "users disabled": "/admin/accounts/user/?account=disabled",
    "a user's spend": "/admin/accounts/user/{user}/spend/",
    "usage records": "/admin/billing/usagerecord/",
    "usage records, estimated": "/admin/billing/usagerecord/?measured__exact=estimated",
    "usage records, none such": "/admin/billing/usagerecord/?over_hold__exact=1",
    "usage records, the hundredth page": "/admin/billing/usagerecord/?p=100",
    "usage records, dearest first": "/admin/billing/usagerecord/?o=-6",
    "usage records of a day": "/admin/billing/usagerecord/?spend_date={day}",
    "usage records of a month": "/admin/billing/usagerecord/?spend_date__gte={first}&spend_date__lt={day}",
    "a usage record": "/admin/billing/usagerecord/{record}/change/",
    "usage records of a user": "/admin/billing/usagerecord/?user__id__exact={user}",
    "usage records, a search": "/admin/billing/usagerecord/?q=spender-7",
    "usage records, a search for nobody": "/admin/billing/usagerecord/?q=no-such",
    "holds": "/admin/billing/hold/",
    "daily spend": "/admin/billing/dailyspend/",
    "daily spend, the hundredth page": "/admin/billing/dailyspend/?p=100",
    "budget periods": "/admin/billing/budgetperiod/",
    "budget periods of everyone": "/admin/billing/budgetperiod/?whose=everyone",
    "budget periods of this month": "/admin/billing/budgetperiod/?running=month",
    "budget periods, the hundredth page": "/admin/billing/budgetperiod/?p=100",
    "budgets": "/admin/billing/budget/",
    "budgets of groups": "/admin/billing/budget/?scope__exact=group",
    "budgets with a limit": "/admin/billing/budget/?limit__isempty=0",
    "accounts": "/admin/billing/account/",
    "acts": "/admin/billing/act/",
}
GROUPINGS = ("model", "day", "user", "group", "feature", "key")
REPORTS = {
    days: {
        f"{days} by {name}": f"/reports/?from={{{first}}}&to={{last}}&group_by={name}" for name in GROUPINGS
    }
    for days, first in (("a month", "month"), ("twelve months", "year"))
}  # fmt: skip


def rows(database: str, *, records: int, users: int) -> list[Row]:
    """Lines of the table: the slowest page, with all of them beside it."""
    env = {**os.environ, "DATABASE_URL": database}
    child = [sys.executable, "-m", "benchmarks.money_admin"]
    output = subprocess.run(child, env=env, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=900).stdout
    found: dict[str, Any] = json.loads(output)
    pages = found["pages"]
    slowest = _slowest(pages, PAGES)
    queries = max(pages[name]["queries"] for name in PAGES)
    reports = [
        Row(
            name=f"reports_{days.replace(' ', '_')}", ours=pages[page]["database_ms"], unit="ms",
            what=f"/reports/ of {page}, the slowest of {len(GROUPINGS)} groupings; {pages[page]['queries']} queries",
            detail={name: pages[name] for name in REPORTS[days]},
        )
        for days in REPORTS
        for page in [_slowest(pages, REPORTS[days])]
    ]  # fmt: skip
    return reports + [
        Row(
            name=f"admin_{name}", what=f"{what}, {users:,} users and {records:,} records, in the database",
            ours=pages[page]["database_ms"], unit="ms", bar=f"≤ {BAR} ms", met=pages[page]["database_ms"] <= BAR,
            detail=found,
        )
        for name, page, what in (
            ("dashboard", "dashboard", "the admin's dashboard"),
            ("dashboard_first", NOTHING_KEPT, NOTHING_KEPT),
            ("users", "users", "the list of users"),
            ("slowest", slowest, f"slowest of {len(PAGES)} pages, {slowest}; at most {queries} queries"),
        )
    ]  # fmt: skip


def _slowest(pages: dict[str, Any], among: Iterable[str]) -> str:
    return max(among, key=lambda name: float(pages[name]["database_ms"]))


def measure() -> dict[str, Any]:
    """Milliseconds in the database and queries of each page, the middle of some times; Django is set up."""
    from django.contrib.auth.models import Group
    from django.core.cache import cache
    from django.db import connection
    from django.test import Client
    from django.utils import timezone

    from accounts.models import User
    from billing import overview
    from billing.models import UsageRecord

    staff, _ = User.objects.get_or_create(email=STAFF, defaults={"is_staff": True, "is_superuser": True})
    client = Client(headers={"host": "localhost"})
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    user = User.objects.exclude(pk=staff.pk).order_by("pk").values_list("pk", flat=True)[0]
    record = UsageRecord.objects.latest("pk")
    day = record.spend_date
    group = Group.objects.order_by("pk").values_list("pk", flat=True)[0]
    last = day.replace(day=1) - timedelta(days=1)
    named = {
        "user": user, "group": group, "record": record.pk, "day": day, "first": day - timedelta(days=30),
        "month": last.replace(day=1), "year": (last - timedelta(days=360)).replace(day=1), "last": last,
    }  # fmt: skip
    cache.clear()
    began = time.perf_counter()
    overview.take(now=timezone.now())
    pages: dict[str, Any] = {"the sums of the dashboard, which beat takes": (time.perf_counter() - began) * 1000}
    found = {}
    for name, address in {**PAGES, **REPORTS["a month"], **REPORTS["twelve months"]}.items():
        figures = []
        for _ in range(TIMES):
            clock = _Clock()
            if name == NOTHING_KEPT:
                cache.clear()
            with connection.execute_wrapper(clock):
                response = client.get(address.format(**named))
            if response.status_code not in (200, 302):  # a page beyond the last, where there are fewer rows
                raise RuntimeError(f"{address}: {response.status_code}")
            figures.append(clock)
        found[name] = {
            "database_ms": round(median(clock.seconds for clock in figures) * 1000, 1),
            "queries": figures[-1].queries,
            "slowest_query_ms": round(max(figures[-1].each) * 1000, 1),
        }
    return {"pages": found, "beat_ms": pages}


class _Clock:
    """Adds up the time that queries take."""

    def __init__(self) -> None:
        self.each: list[float] = []

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.each.append(time.perf_counter() - began)

    @property
    def seconds(self) -> float:
        return sum(self.each)

    @property
    def queries(self) -> int:
        return len(self.each)


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
    django.setup()
    print(json.dumps(measure(), indent=1))
