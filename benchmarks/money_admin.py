"""The admin's pages about money at scale: how long the database works for each, and in how many queries.

`python -m benchmarks.money_admin` in a process whose DATABASE_URL has the records prints the figures as JSON;
`rows` runs it so, and makes lines of the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

from benchmarks.figures import Row, median
from deploy.processes import ROOT

BAR = 300  # milliseconds in the database, a page
TIMES = 5
STAFF = "bench-staff@example.com"
PAGES = {
    "dashboard": "/admin/",
    "users": "/admin/accounts/user/",
    "users over 80%": "/admin/accounts/user/?budget=80",
    "users disabled": "/admin/accounts/user/?account=disabled",
    "a user's spend": "/admin/accounts/user/{user}/spend/",
    "usage records": "/admin/billing/usagerecord/",
    "usage records, estimated": "/admin/billing/usagerecord/?measured__exact=estimated",
    "usage records, none such": "/admin/billing/usagerecord/?over_hold__exact=1",
    "usage records of a user": "/admin/billing/usagerecord/?user__id__exact={user}",
    "usage records, a search": "/admin/billing/usagerecord/?q=spender-7",
    "daily spend": "/admin/billing/dailyspend/",
    "budget periods": "/admin/billing/budgetperiod/",
    "budget periods of everyone": "/admin/billing/budgetperiod/?whose=everyone",
    "budgets": "/admin/billing/budget/",
}


def fill(database: str) -> None:
    """Budgets of every user, and what is spent of them this month and today, from the records that are there."""
    periods = {"month": "date_trunc('month', now())::date", "day": "now()::date"}
    with psycopg.connect(database, autocommit=True) as connection:
        for period, since in periods.items():
            connection.execute(
                "INSERT INTO billing_budget (scope, user_id, period, at_limit)"  # noqa: S608
                f" SELECT 'user', id, '{period}', 'refuse' FROM accounts_user ON CONFLICT DO NOTHING"
            )
            connection.execute(
                "INSERT INTO billing_budgetperiod (budget_id, start, spent, held)"  # noqa: S608
                f" SELECT b.id, {since}, SUM(r.cost), 0 FROM billing_usagerecord r JOIN billing_budget b"
                f" ON b.user_id = r.user_id AND b.period = '{period}' WHERE r.spend_date >= {since}"
                " GROUP BY b.id ON CONFLICT DO NOTHING"
            )
        connection.execute("VACUUM ANALYZE")


def rows(database: str, *, records: int, users: int) -> list[Row]:
    """Lines of the table: the slowest page, with all of them beside it."""
    env = {**os.environ, "DATABASE_URL": database}
    child = [sys.executable, "-m", "benchmarks.money_admin"]
    output = subprocess.run(child, env=env, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=900).stdout
    found: dict[str, Any] = json.loads(output)
    slowest = max(page["database_ms"] for page in found["pages"].values())
    return [
        Row(
            name="admin", what=f"slowest page of the admin, {users:,} users and {records:,} records, in the database",
            ours=slowest, unit="ms", bar=f"≤ {BAR} ms", met=slowest <= BAR, detail=found,
        )
    ]  # fmt: skip


def measure() -> dict[str, Any]:
    """Milliseconds in the database and queries of each page, the middle of some times; Django is set up."""
    from django.core.cache import cache
    from django.db import connection
    from django.test import Client
    from django.utils import timezone

    from accounts.models import User
    from billing import overview

    staff, _ = User.objects.get_or_create(email=STAFF, defaults={"is_staff": True, "is_superuser": True})
    client = Client(headers={"host": "localhost"})
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    user = User.objects.exclude(pk=staff.pk).order_by("pk").values_list("pk", flat=True)[0]
    cache.clear()
    began = time.perf_counter()
    overview.take(now=timezone.now())
    pages: dict[str, Any] = {"the sums of the dashboard, which beat takes": (time.perf_counter() - began) * 1000}
    found = {}
    for name, address in PAGES.items():
        figures = []
        for _ in range(TIMES):
            clock = _Clock()
            with connection.execute_wrapper(clock):
                response = client.get(address.format(user=user))
            if response.status_code != 200:
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
