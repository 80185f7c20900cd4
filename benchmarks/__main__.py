"""`make bench`, or `python -m benchmarks [ROW…]`: all rows or those named, as a table and as JSON.

The JSON is in var/benchmarks/.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Row, table
from benchmarks.stage import Stage, interruptible
from deploy.local import debian
from deploy.processes import ROOT

NAMES = (
    "first", "first50", "cpu", "delay", "pairs", "stop", "long", "idle", "exports", "page", "quotes", "rollup", "books",
    "peers",
)  # fmt: skip


def main() -> int:
    """Measure; returns 0 where every row could be measured, whether or not it met its bar."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(NAMES)}; all without one")
    wanted = parser.parse_args().rows or list(NAMES)
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    interruptible()
    debian.require(debian.CLUSTER)
    found: list[Row] = []
    failed: list[str] = []
    with Stage() as stage:
        from benchmarks.rows import ROWS

        for name in wanted:
            began = time.monotonic()
            try:
                rows = ROWS[name](stage)
            except Exception:
                traceback.print_exc()
                failed.append(name)
                continue
            found += rows
            for row in rows:
                print(f"{row.name}: {row.ours:.1f} {row.unit} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"\n{machine()}\n\n{table(found)}\n")
    print(f"All figures: {write(found)}")
    if failed:
        print(f"Could not be measured: {', '.join(failed)}")
    return 1 if failed else 0


def machine() -> str:
    """Where this ran."""
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cores} cores, {system}"


def write(rows: list[Row]) -> Path:
    """The figures as JSON: one file a run, and `latest.json`, which holds the newest figure of each row."""
    folder = ROOT / "var" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    figures: dict[str, Any] = {
        row.name: {**dataclasses.asdict(row), "ratio": row.ratio, "measured_at": now.isoformat(), "machine": machine()}
        for row in rows
    }
    file = folder / f"{now:%Y%m%d-%H%M%S}.json"
    file.write_text(json.dumps(figures, indent=1, ensure_ascii=False))
    latest = folder / "latest.json"
    before = json.loads(latest.read_text()) if latest.exists() else {}
    latest.write_text(json.dumps(before | figures, indent=1, ensure_ascii=False))
    return file


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
