"""`python -m tests`: the whole suite, once on SQLite + in-process and once on PostgreSQL + Redis, at the same time.

They share nothing but the work: a test that is marked `once` or `only` runs in one of them. What the second prints
comes when it has ended. `--only embedded` or `--only scaled` does all of the suite there; all other arguments go to
pytest.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from xml.etree import ElementTree

from deploy.local import debian
from tests.processes import ROOT, dying_with_parent
from tests.services import PostgreSQL, Redis

# The static files, once, before two runs would collect them at the same time; in a process of its own, since the
# settings read the environment, and each run has another.
COLLECT = """
from tests import environment
environment.apply()
import django
django.setup()
from deploy.local.prepare import collect_static
collect_static()
"""
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


class Pytest:
    """One run of pytest, as a context manager; where we are interrupted, it is given the time to end what it started.

    `quiet`: what it prints is kept for later.
    """

    def __init__(self, arguments: list[str], env: Mapping[str, str], *, quiet: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chat-report-")
        self._report = Path(self._folder.name) / "report.xml"
        self._output = (Path(self._folder.name) / "output").open("w+") if quiet else None
        command = [sys.executable, "-m", "pytest", f"--junitxml={self._report}", *arguments]
        self._process = subprocess.Popen(
            [*dying_with_parent(signal.SIGINT), *command], cwd=ROOT, env=env, stdout=self._output
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=60)
        if self._output is not None:
            self._output.close()
        self._folder.cleanup()

    def result(self) -> Result:
        """Wait for its end; print what was kept."""
        status = self._process.wait()
        if self._output is not None:
            self._output.seek(0)
            print(self._output.read(), flush=True)
        if not self._report.exists():
            return Result(status)
        suite = ElementTree.parse(self._report).getroot()[0].attrib
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
    seconds = max(result.seconds for result in results.values())
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
    subprocess.run([sys.executable, "-c", COLLECT], cwd=ROOT, check=True)
    results: dict[str, Result] = {}
    with ExitStack() as stack:
        runs: dict[str, Pytest] = {}
        for run in [options.only] if options.only else RUNS:
            env = stack.enter_context(databases(run))
            shared = [] if options.only else ["--share"]
            runs[run] = stack.enter_context(Pytest([*shared, *for_pytest], env, quiet=bool(runs)))
        for run, pytest in runs.items():
            print(f"\n{RUNS[run]}\n", flush=True)
            results[run] = pytest.result()
    return summarize(results)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
