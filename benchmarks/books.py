"""Whole books on a PostgreSQL of their own: users, budgets, records, their holds, budget periods and daily spend.

All of it agrees: `audit_ledger` finds nothing. Made by COPY and INSERT … SELECT, the same for the same seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import date

import psycopg

from benchmarks import money
from benchmarks.bulk import bulk
from deploy.cluster.stores import PostgreSQL
from deploy.processes import ROOT

# Each budget that there is by default, as PostgreSQL finds a record's period of it: scope, period, its first day.
BUDGETS = (
    ("user", "day", "r.spend_date"),
    ("user", "month", "date_trunc('month', r.spend_date)::date"),
    ("everyone", "day", "r.spend_date"),
)
KEY = "spend_date, user_id, model, feature, key_fingerprint, group_name"
TOTALS_KEY = KEY.replace("user_id, ", "")
SUMS = "calls, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost"
SUMMED = ", ".join(f"SUM({name})" for name in SUMS.split(", "))


class Archive(PostgreSQL):
    """A PostgreSQL for tens of millions of rows; what makes filling faster and changes no query's plan is set."""

    name = "archive"

    def command(self) -> list[str]:
        """Fewer checkpoints while it is filled."""
        return [*super().command(), "-c", "max_wal_size=16GB", "-c", "checkpoint_timeout=1h"]

    def database(self, name: str, env: Mapping[str, str]) -> str:
        """A new database with the product's tables and prices; returns its DATABASE_URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        url = self.url(name)
        for command in (["migrate", "--verbosity", "0"], ["sync_prices"]):
            manage = [sys.executable, "manage.py", *command]
            environment = {**os.environ, **env, "DATABASE_URL": url}
            subprocess.run(manage, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return url


def company(database: str, *, users: int) -> money.Company:
    """The users, one in twenty of them in a group, with the budgets that they and everyone have by default."""
    found = money.company(database, users=users)
    with psycopg.connect(database, autocommit=True) as connection, bulk(connection, "billing_budget"):
        connection.execute(
            "WITH made AS (INSERT INTO auth_group (name) VALUES ('Engineering') RETURNING id)"
            " INSERT INTO accounts_user_groups (user_id, group_id)"
            " SELECT u.id, made.id FROM accounts_user u, made WHERE u.id % 20 = 0"
        )
        for period in ("day", "month"):
            connection.execute(
                "INSERT INTO billing_budget (scope, user_id, period, at_limit)"
                " SELECT 'user', id, %s, 'refuse' FROM accounts_user ORDER BY id",
                [period],
            )
        connection.execute("INSERT INTO billing_budget (scope, period, at_limit) VALUES ('everyone', 'day', 'refuse')")
    return found


def book(database: str, *, since: date, tell: Callable[[str], None] = print) -> None:
    """Periods, holds and daily spend of the records from a day on, of which nothing is booked yet."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET work_mem = '128MB'")
        with bulk(connection, "billing_dailyspend"):
            connection.execute(
                f"INSERT INTO billing_dailyspend ({KEY}, {SUMS}) SELECT {KEY}, {SUMMED} FROM billing_usagerecord"  # noqa: S608
                f" WHERE spend_date >= %s GROUP BY {KEY} ORDER BY 1, 2",
                [since],
            )
        for table, key in (("dailytotal", TOTALS_KEY), ("monthlyspend", "month, user_id")):
            places = key.replace("month", "date_trunc('month', spend_date)::date AS month")
            connection.execute(f"TRUNCATE billing_{table}")
            connection.execute(
                f"INSERT INTO billing_{table} ({key}, {SUMS}) SELECT {places}, {SUMMED} FROM billing_dailyspend"  # noqa: S608
                f" GROUP BY {', '.join(str(place) for place in range(1, key.count(',') + 2))}"
            )
        tell("daily spend")
        for scope, period, start in BUDGETS:
            connection.execute(
                "INSERT INTO billing_budgetperiod (budget_id, start, spent, held)"  # noqa: S608
                f" SELECT b.id, {start}, SUM(r.cost), 0 FROM billing_usagerecord r {_budget(scope)}"
                " WHERE r.spend_date >= %s GROUP BY 1, 2"
                # a month may have begun before
                " ON CONFLICT (budget_id, start) DO UPDATE SET spent = billing_budgetperiod.spent + EXCLUDED.spent",
                [scope, period, since],
            )
        tell("budget periods")
        with bulk(connection, "billing_hold"):
            for scope, period, start in BUDGETS:
                connection.execute(
                    f"INSERT INTO billing_hold (record_id, period_id) SELECT r.id, p.id"  # noqa: S608
                    f" FROM billing_usagerecord r {_budget(scope)}"
                    f" JOIN billing_budgetperiod p ON p.budget_id = b.id AND p.start = {start}"
                    " WHERE r.spend_date >= %s",
                    [scope, period, since],
                )
                tell(f"holds in each {period} of {scope}")
        connection.execute("VACUUM ANALYZE")
    tell("their indexes")


def _budget(scope: str) -> str:
    return f"JOIN billing_budget b ON b.scope = %s AND b.period = %s{' AND b.user_id = r.user_id' * (scope == 'user')}"


def more(database: str, count: int) -> None:
    """So many further records as the newest ones are, not counted yet; of the budgets everyone's alone holds them."""
    columns = ", ".join(money.COLUMNS)
    with psycopg.connect(database) as connection:
        connection.execute(
            f"WITH made AS (INSERT INTO billing_usagerecord ({columns}) SELECT {columns}"  # noqa: S608
            " FROM billing_usagerecord ORDER BY id DESC LIMIT %s RETURNING id, cost, spend_date),"
            " place AS (SELECT p.id FROM billing_budgetperiod p JOIN billing_budget b ON b.id = p.budget_id"
            " AND b.scope = 'everyone' WHERE p.start = (SELECT MAX(spend_date) FROM made)),"
            " held AS (INSERT INTO billing_hold (record_id, period_id) SELECT made.id, place.id FROM made, place)"
            " UPDATE billing_budgetperiod SET spent = spent + (SELECT SUM(cost) FROM made)"
            " WHERE id = (SELECT id FROM place)",
            [count],
        )
