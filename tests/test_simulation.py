"""The schedules of the fault simulation; `make soak` plays two hundred of them."""

import pytest

from tests.simulation.schedule import FAULTS, PEOPLE, Schedule

pytestmark = pytest.mark.once("embedded")


def test_a_seed_is_one_schedule() -> None:
    first, again, other = (Schedule(seed, webs=2) for seed in (7, 7, 8))
    assert first.steps == again.steps != other.steps
    assert first.answer(3) == again.answer(3) != other.answer(3)


def test_two_hundred_seeds_hold_every_fault() -> None:
    seen = {step.what for seed in range(1, 201) for step in Schedule(seed, webs=2).steps}
    assert seen == {*FAULTS, *PEOPLE}
