"""`python -m tests`: the whole suite, once on SQLite + in-process and once on PostgreSQL + Redis.

`--only embedded` or `--only scaled` does one of them; all other arguments go to pytest.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from deploy.local import debian
from tests.processes import ROOT, dying_with_parent
from tests.services import PostgreSQL, Redis

RUNS = {"embedded": "SQLite, in-process", "scaled": "PostgreSQL, Redis"}


@dataclass(frozen=True)
class Result:
    """How a run of pytest ended."""

    status: int
    tests: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> int:
        """Tests that ran and held."""
        return self.tests - self.failed - self.skipped

    @property
    def good(self) -> bool:
        """Everything passed, something ran, and in CI nothing was left out."""
        return self.status == 0 and self.passed > 0 and not (os.environ.get("CI") and self.skipped)

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped in {self.seconds:.1f} s"
        return f"{counts} (exit status {self.status})"


@contextmanager
def databases(run: str) -> Iterator[dict[str, str]]:
    """The environment of a run; what it needs beside Python is there inside the `with`."""
    ours = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    if run == "embedded":
        yield inherited
        return
    with PostgreSQL() as postgresql, Redis() as redis:
        yield {**inherited, "DATABASE_URL": postgresql.url(), "REDIS_URL": redis.url}


def run_pytest(arguments: list[str], env: Mapping[str, str]) -> Result:
    """Run pytest once; where we are interrupted, it is given the time to end what it started."""
    with tempfile.TemporaryDirectory(prefix="chat-report-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        process = subprocess.Popen([*dying_with_parent(signal.SIGINT), *command], cwd=ROOT, env=env)
        try:
            status = process.wait()
        except BaseException:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)
            raise
        if not report.exists():
            return Result(status)
        suite = ElementTree.parse(report).getroot()[0].attrib
        failed = int(suite["failures"]) + int(suite["errors"])
        return Result(status, int(suite["tests"]), failed, int(suite["skipped"]), float(suite["time"]))


def summarize(results: Mapping[str, Result]) -> int:
    """Print a line a run and, last, their sum; returns the exit status: 0 where all is good."""
    print()
    for run, result in results.items():
        print(f"{RUNS[run]}: {result}")
    good = all(result.good for result in results.values())
    if not good and not any(result.failed for result in results.values()):
        print("Not good: a run ended early, ran no test, or (in CI) left one out.")
    passed, failed, skipped = (
        sum(getattr(result, name) for result in results.values()) for name in ("passed", "failed", "skipped")
    )
    seconds = sum(result.seconds for result in results.values())
    counts = [f"{failed} failed"] * bool(failed) + [f"{passed} passed"] + [f"{skipped} skipped"] * bool(skipped)
    print(f"===== {', '.join(counts)} in {seconds:.2f}s =====", flush=True)
    return 0 if good else 1


def main() -> int:
    """Run what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", choices=RUNS, help="one of the two runs")
    options, for_pytest = parser.parse_known_args()
    for ending in (signal.SIGTERM, signal.SIGINT):  # a script's background job would ignore SIGINT, and so would pytest
        signal.signal(ending, signal.default_int_handler)
    debian.require(debian.TESTS)
    results: dict[str, Result] = {}
    for run in [options.only] if options.only else RUNS:
        print(f"\n{RUNS[run]}\n", flush=True)
        with databases(run) as env:
            results[run] = run_pytest(for_pytest, env)
    return summarize(results)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
