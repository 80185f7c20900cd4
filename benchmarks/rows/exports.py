r"""A month of a million records as files: seconds beside `\\copy`, and by how much memory grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import date
from typing import Any

from benchmarks import money
from benchmarks.figures import Row, median
from benchmarks.stage import Stage
from deploy.local import debian

RECORDS, USERS = 1_000_000, 1000
FIRST, LAST = date(2024, 10, 1), date(2024, 10, 31)
MOST_MB = 50.0
SAME = """\\copy (SELECT r.spend_date, r.held_at, r.settled_at, r.id, r.kind, r.calls, r.corrects_id, r.user_id,
r.user_name, r.group_name, r.feature, r.model, r.price_id, p.source, r.key_fingerprint, r.provider_request_id,
r.outcome, r.measured, r.input_tokens, r.cached_input_tokens, r.cache_write_tokens, r.output_tokens,
r.reasoning_tokens, r.reason, r.cost FROM billing_usagerecord r LEFT JOIN billing_price p ON p.id = r.price_id
WHERE r.state = 'settled' AND r.spend_date BETWEEN '{first}' AND '{last}' ORDER BY r.spend_date, r.id)
TO '/dev/null' CSV HEADER"""


def measure(stage: Stage, *, rounds: int = 3) -> list[Row]:
    """CSV and the bare copy in turn; the other formats once, for their memory."""
    database = stage.postgresql.url()
    cost = money.records(
        database, money.company(database, users=USERS, prefix="exported"), count=RECORDS, first=FIRST,
        days=(LAST - FIRST).days + 1,
    )  # fmt: skip
    ours, bare, grown = [], [], []
    for _ in range(rounds):
        bare.append(_copied(database))
        made = _made(stage, "csv", cost)
        ours.append(made["seconds"])
        grown.append(made["grown_mb"])
    figure, beside = median(ours), median(bare)
    rows = [
        Row(name="csv", what=f"CSV of {RECORDS:,} records", ours=figure, unit="s", bar="≤ 4 × bare",
            met=figure <= 4 * beside, bare=beside, bare_is="\\copy of the same columns"),
        _memory("csv", max(grown), {}),
    ]  # fmt: skip
    for name in ("parquet", "xlsx", "focus", "focus-parquet"):
        made = _made(stage, name, cost)
        rows.append(_memory(name, made["grown_mb"], made))
    return rows


def _memory(name: str, grown: float, detail: dict[str, Any]) -> Row:
    return Row(
        name=f"{name}_memory", what=f"memory that {name} of {RECORDS:,} records takes", ours=max(0.1, grown), unit="MB",
        bar=f"≤ {MOST_MB:.0f} MB", met=grown <= MOST_MB, detail=detail,
    )  # fmt: skip


def _made(stage: Stage, name: str, cost: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.export_child", name, FIRST.isoformat(), LAST.isoformat()]
    done = subprocess.run(command, env={**os.environ, **stage.env}, capture_output=True, text=True, check=True)
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if made["cost"] != cost:
        raise RuntimeError(f"{name} comes to {made['cost']}, the records to {cost}")
    return made


def _copied(database: str) -> float:
    statement = " ".join(SAME.format(first=FIRST, last=LAST).split("\n"))
    began = time.monotonic()
    programs = debian.postgresql_programs()
    assert programs is not None, "the stage runs on it"
    subprocess.run([str(programs / "psql"), database, "-q", "-c", statement], check=True)
    return time.monotonic() - began
