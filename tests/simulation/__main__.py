"""`python -m tests.simulation --seeds 1-200 --scenarios`: play, print a line each, exit 1 where one has a problem."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import django

from deploy.local import debian

if TYPE_CHECKING:
    from tests.simulation.scenarios import Scenario
    from tests.simulation.schedule import Schedule
    from tests.simulation.world import World


def seeds(text: str) -> list[int]:
    """`7`, `1-200`, `3,5,9-12`."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def play_all(world: World, plans: Iterable[Schedule | Scenario]) -> list[str]:
    """Play plans one after the other; the names of those with a problem."""
    from tests.simulation.run import play

    bad: list[str] = []
    for plan in plans:
        run = play(world, plan)
        ended = ", ".join(f"{count} {status}" for status, count in sorted(run.statuses.items()))
        refused = ", ".join(f"{count} {code}" for code, count in sorted(run.refusals.items()))
        words = f"{len(run.problems)} PROBLEMS" if run.problems else "good"
        print(f"{run.name}: {ended}; refused {refused or 'none'}; {run.seconds:.1f} s: {words}", flush=True)
        for problem in run.problems:
            print(f"    {problem}", flush=True)
        if run.problems:
            bad.append(run.name)
            for number, service in enumerate(world.services()):
                Path(f"{world.folder}-{plan.seed}-{service.name}-{number}.log").write_text(service.log[-50_000:])
    return bad


def main() -> int:
    """Play what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=seeds, default=[], help="such as 1-200 or 3,7")
    parser.add_argument("--scenarios", nargs="?", const="", default=None, help="all, or those whose name holds a word")
    arguments = parser.parse_args()
    debian.require(debian.CLUSTER)
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    from tests.simulation.scenarios import SCENARIOS
    from tests.simulation.schedule import LEASE_SECONDS, Schedule
    from tests.simulation.world import SLOW_LEASE_SECONDS, World

    schedules = [Schedule(seed, webs=2) for seed in arguments.seeds]
    word = arguments.scenarios
    scenarios = [] if word is None else [scenario for scenario in SCENARIOS if word in scenario.name]
    began, bad = time.monotonic(), list[str]()
    with (
        tempfile.TemporaryDirectory(prefix="chat-simulation-") as folder,
        World(folder=Path(folder)) as world,  # one for both: Django's settings stay what they were first
    ):
        django.setup()
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # that the database is away is the plan
        if schedules:
            world.employ(webs=2, lease=LEASE_SECONDS)
            bad += play_all(world, schedules)
        if scenarios:
            world.employ(webs=4, lease=SLOW_LEASE_SECONDS)
            bad += play_all(world, scenarios)
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{len(schedules) + len(scenarios) - len(bad)} passed, {len(bad)} failed")
    if bad:
        print(f"Play again: {'; '.join(bad)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
