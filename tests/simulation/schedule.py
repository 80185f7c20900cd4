"""A seed's schedule: what people do and what breaks, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass

SECONDS = 6.0  # within which everything begins
LEASE_SECONDS = 2.0  # of the product that plays: seeds need not wait long for the dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """At `at` seconds, `what` happens to person, tab, conversation or process number `who`; `seconds`: for how long."""

    at: float
    what: str
    who: int
    seconds: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the provider sends for one message: text, pace in seconds, and what goes wrong with it."""

    text: str
    deltas: int
    pace: float
    fault: str = ""
    fault_after: int = 0


PEOPLE = ("send", "send", "send", "send", "stop", "reload", "reload", "second tab", "close tab", "sign out")
FAULTS = (
    "kill web", "kill web", "pause web", "pause web", "restart redis", "restart postgresql", "kill worker",
    "pause worker",
)  # fmt: skip
SCENARIO_FAULTS = ("flush redis",)
PROVIDER = ("", "", "", "", "cut", "reset", "stall", "error event", "no usage", "refuse")


# Some seeds play with little money, so that holds are lowered and refused. Nano-dollars a day.
DAILY_LIMITS = (1_000_000_000, 1_000_000_000, 3_000_000)


class Schedule:
    """All steps of a seed, in order of time, and an endless supply of answers."""

    conversations = 6
    people = 2
    under_way = 0  # faults do not wait for anything

    def __init__(self, seed: int, *, webs: int) -> None:
        self.seed = seed
        self.name = f"seed {seed}"
        self.daily_limit = DAILY_LIMITS[seed % len(DAILY_LIMITS)]
        chance = random.Random(seed)
        count = self.conversations
        steps = [Step(at=chance.uniform(0, 0.8), what="send", who=number) for number in range(count)]
        steps += [
            Step(at=chance.uniform(0.5, SECONDS), what=chance.choice(PEOPLE), who=chance.randrange(count))
            for _ in range(count * 3)
        ]
        for _ in range(chance.randint(1, 3)):
            what = chance.choice(FAULTS)
            seconds = chance.uniform(0.2, 5.0) if what == "pause web" else chance.uniform(0.0, 1.5)
            step = Step(at=chance.uniform(0.5, SECONDS), what=what, who=chance.randrange(webs), seconds=seconds)
            steps.append(step)
            if what == "kill web" and chance.random() < 0.5:
                steps += self._kill_recoverers(step, chance, webs)
        self.steps = sorted(steps, key=lambda step: step.at)

    @staticmethod
    def _kill_recoverers(killed: Step, chance: random.Random, webs: int) -> list[Step]:
        """Kill those who could end the replies of a web process, about when they do: once its leases have run out."""
        steps = []
        for what, who in (("kill web", (killed.who + 1) % webs), ("kill worker", 0), ("kill worker", 1)):
            at = killed.at + LEASE_SECONDS + chance.uniform(-0.5, 1.0)
            steps.append(Step(at=at, what=what, who=who, seconds=chance.uniform(0.0, 1.0)))
        return steps

    def answer(self, number: int) -> Answer:
        """The answer to the run's message `number`: a text of its own, so that it can be told from all others."""
        chance = random.Random(self.seed * 100_000 + number)
        pieces = [*"abcdefgh ijklmnop qrstuvwxyz äöü 漢字 😀 \n", "\n\n", "\n\n", "\n\n# ", "\n- ", "\n```\n", "**"]
        deltas = chance.randint(1, 120)
        body = "".join(chance.choices(pieces, k=chance.randint(20, 1200)))
        fault = chance.choice(PROVIDER)
        return Answer(
            text=f"[{self.seed}.{number}] {body}",
            deltas=deltas,
            pace=chance.uniform(0.001, 0.03),
            fault=fault,
            fault_after=chance.randrange(deltas),
        )

    def expect(self, statuses: dict[str, int]) -> list[str]:
        """What a run of it must have brought about, beside what holds for all; nothing here."""
        return []
