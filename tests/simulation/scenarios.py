"""Faults that seeds meet only by chance, each played on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation.schedule import Answer, Step
from tests.simulation.world import SLOW_LEASE_SECONDS

PAUSE_SECONDS = SLOW_LEASE_SECONDS + 11  # so that beat, which looks every 10 s, must find the lease run out
AMPLE = 1_000_000_000  # nano-dollars a day


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Sends at the start, then what is in `faults`, which wait until `under_way` tabs show some text.

    `at_least`: how many replies of a status there must be.
    """

    name: str
    seed: int
    faults: tuple[Step, ...]
    conversations: int = 6
    people: int = 2
    daily_limit: int = AMPLE
    deltas: int = 60
    pace: float = 0.08
    under_way: int = 6
    at_least: Mapping[str, int]

    @property
    def steps(self) -> list[Step]:
        """All of them, in order of time."""
        sends = [Step(at=number * 0.02, what="send", who=number) for number in range(self.conversations)]
        return sorted([*sends, *self.faults], key=lambda step: step.at)

    def answer(self, number: int) -> Answer:
        """A long, even answer."""
        text = f"[{self.seed}.{number}] " + f"word {number} " * 60
        return Answer(text=text, deltas=self.deltas, pace=self.pace)

    def expect(self, statuses: dict[str, int]) -> list[str]:
        """What is missing."""
        return [
            f"{statuses.get(status, 0)} {status}, not {count} or more"
            for status, count in self.at_least.items()
            if statuses.get(status, 0) < count
        ]


# gpt-4o-mini: a message of some 150 tokens and an answer of 1,000 are held with about 0.6 m$.
TEN_HOLDS = 6_600_000

SCENARIOS = (
    Scenario(
        name="split brain: an owner stops for longer than its lease, then goes on",
        seed=9001,
        faults=tuple(Step(at=1.5, what="pause web", who=number, seconds=PAUSE_SECONDS) for number in range(3)),
        deltas=120,
        pace=0.2,
        at_least={"interrupted": 1},
    ),
    Scenario(
        name="Redis forgets everything in mid-reply",
        seed=9002,
        faults=(Step(at=1.5, what="flush redis", who=0),),
        at_least={"complete": 6},
    ),
    Scenario(
        name="Redis is away for 10 s",
        seed=9003,
        faults=(Step(at=1.5, what="restart redis", who=0, seconds=10),),
        at_least={"complete": 6},
    ),
    Scenario(
        name="PostgreSQL is away for 10 s",
        seed=9004,
        faults=(Step(at=1.5, what="restart postgresql", who=0, seconds=10),),
        at_least={"complete": 6},
    ),
    Scenario(
        name="a race for ten answers over four web processes, one of which is killed",
        seed=9005,
        faults=(Step(at=0.9, what="kill web", who=1, seconds=0.5),),
        conversations=60,
        people=1,
        daily_limit=TEN_HOLDS,
        under_way=1,
        at_least={"complete": 1},
    ),
)
