"""Ten seeds of the fault simulation; `make soak` plays two hundred."""

import subprocess
import sys

import pytest

from deploy.processes import ROOT
from tests.simulation.schedule import FAULTS, PEOPLE, Schedule


@pytest.mark.timeout(420)
def test_ten_seeds() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "1-10"]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert played.returncode == 0, played.stdout + played.stderr[-3000:]
    assert "10 passed, 0 failed" in played.stdout


def test_a_seed_is_one_schedule() -> None:
    first, again, other = (Schedule(seed, conversations=6, webs=2) for seed in (7, 7, 8))
    assert first.steps == again.steps != other.steps
    assert first.answer(3) == again.answer(3) != other.answer(3)


def test_two_hundred_seeds_hold_every_fault() -> None:
    seen = {step.what for seed in range(1, 201) for step in Schedule(seed, conversations=6, webs=2).steps}
    assert seen == {*FAULTS, *PEOPLE}
