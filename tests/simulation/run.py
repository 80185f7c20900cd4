"""One seed against a world: people act, things break, everything is mended, and the verdict is spoken."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from deploy.processes import Service
from tests.provider.script import Script
from tests.simulation.scenarios import Scenario
from tests.simulation.schedule import FAULTS, SCENARIO_FAULTS, Answer, Schedule, Step
from tests.simulation.tab import Tab
from tests.simulation.verdict import Cast, verdict
from tests.simulation.world import World

SETTLE_SECONDS = 40.0  # within which, after all is mended, every reply must have ended in every tab


@dataclass(slots=True)
class Run:
    """What happened to one seed or scenario."""

    name: str
    problems: list[str] = field(default_factory=list)
    replies: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    seconds: float = 0


def play(world: World, plan: Schedule | Scenario) -> Run:
    """Play a seed's schedule or a scenario from beginning to end."""
    began = time.monotonic()
    cast = Cast.make(plan)
    run = asyncio.run(_Play(world, plan, cast).play())
    run.seconds = time.monotonic() - began
    return run


class _Play:
    def __init__(self, world: World, plan: Schedule | Scenario, cast: Cast) -> None:
        self.world = world
        self.cast = cast
        self.plan = plan
        self.chance = random.Random(plan.seed + 7)
        self.answers: dict[str, Answer] = {}
        self.tabs: list[list[Tab]] = []
        self.closed: list[Tab] = []
        self.mending: list[asyncio.Task[None]] = []
        self.broken: set[Service] = set()
        self.problems: list[str] = []

    async def play(self) -> Run:
        self.tabs = [[self._tab(number)] for number in range(self.plan.conversations)]
        began = time.monotonic()
        for step in self.plan.steps:
            if step.what in (*FAULTS, *SCENARIO_FAULTS):
                began += await self._under_way()
            await asyncio.sleep(max(0.0, began + step.at - time.monotonic()))
            await self._do(step)
        await asyncio.gather(*self.mending)
        late = await self._settle()
        tabs = [tab for tabs in self.tabs for tab in tabs]
        await asyncio.gather(*(tab.close() for tab in [*tabs, *self.closed]))
        run = Run(self.plan.name, self.problems)
        run.problems += [f"after {SETTLE_SECONDS:.0f} s not ended: {words}" for words in late]
        found = await asyncio.to_thread(verdict, self.cast, self.answers, [*tabs, *self.closed], self.world.provider)
        run.problems += found.problems
        run.replies, run.statuses = found.replies, found.statuses
        run.refusals = dict(Counter(error["code"] for tab in [*tabs, *self.closed] for error in tab.refusals))
        # A run in which little happened proves little.
        run.problems += self.plan.expect(run.statuses)
        if run.replies < self.plan.conversations and not run.refusals.get("budget_exhausted"):
            run.problems.append(f"only {run.replies} replies")
        return run

    async def _under_way(self) -> float:
        """Wait until there is something to break, such as a plan wants; the seconds that took."""
        began = time.monotonic()
        while time.monotonic() < began + SETTLE_SECONDS:
            talking = [tab for tabs in self.tabs for tab in tabs if any(shown.text for shown in tab.shown.values())]
            if len(talking) >= self.plan.under_way:
                break
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def _settle(self) -> list[str]:
        deadline = time.monotonic() + SETTLE_SECONDS
        tabs = [tab for tabs in self.tabs for tab in tabs]
        for closed in self.closed:  # somebody looks how that ended
            await next(tab for tab in tabs if tab.conversation == closed.conversation).take_over(closed)
        while any(tab.waiting for tab in tabs) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return [
            f"{message_id} with {len(shown.text)} shown"
            for tab in tabs
            for message_id, shown in tab.shown.items()
            if not shown.status
        ] + [f"a send of {command.frame['key']}" for tab in tabs for command in tab.commands if not command.done]

    def _tab(self, number: int) -> Tab:
        conversation, token = self.cast.conversations[number], self.cast.tokens[number]
        return Tab(conversation, token, self.world.addresses(), random.Random(self.chance.random()))

    async def _do(self, step: Step) -> None:
        """What a step says: people act on a conversation's tabs, faults on processes."""
        if step.what in (*FAULTS, *SCENARIO_FAULTS):
            self._fault(step)
            return
        tabs = self.tabs[step.who]
        match step.what:
            case "send":
                await self._send(step.who)
            case "stop":
                await self.chance.choice(tabs).stop()
            case "reload":
                await self.chance.choice(tabs).reload()
            case "second tab":
                tabs.append(self._tab(step.who))
            case "sign out":
                await self._sign_out(step.who)
            case "close tab" if len(tabs) > 1 and all(command.done for command in tabs[-1].commands):
                self.closed.append(tab := tabs.pop())
                await tab.close()

    async def _sign_out(self, number: int) -> None:
        """A conversation's token is revoked; its tabs find out, and one that has signed in anew takes their place."""
        if not await asyncio.to_thread(self.cast.sign_out, number):
            return
        old, self.tabs[number] = self.tabs[number], [tab := self._tab(number)]
        self.closed += old
        for one in old:
            await tab.take_over(one)
        for one in old:
            if self.chance.random() < 0.5:
                await one.reload()

    def _fault(self, step: Step) -> None:
        world = self.world
        match step.what:
            case "kill web":
                self._break(world.webs[step.who], signal.SIGKILL, step.seconds)
            case "kill worker":
                self._break(world.workers[step.who], signal.SIGKILL, step.seconds)
            case "restart redis":
                self._break(world.redis, signal.SIGKILL, step.seconds)
            case "restart postgresql":
                self._break(world.postgresql, signal.SIGQUIT, step.seconds)
            case "flush redis":
                world.flush_redis()
            case "pause web":
                self._pause(world.webs[step.who], step.seconds)
            case "pause worker":
                self._pause(world.workers[step.who], step.seconds)

    async def _send(self, number: int) -> None:
        nonce = f"{self.plan.seed}.{len(self.answers)}"
        answer = self.answers[nonce] = self.plan.answer(len(self.answers))
        content = f"<{nonce}> {script_of(answer).directive()}"
        await self.chance.choice(self.tabs[number]).send(nonce, content)

    def _break(self, service: Service, how: signal.Signals, seconds: float) -> None:
        if service in self.broken:
            return
        if not service.running or service.process is None:
            self.problems.append(f"{service.name} was not running, so it could not be ended")
            return
        self.broken.add(service)
        self.world.resume(service)
        if how == signal.SIGKILL:
            service.kill()
        else:
            service.process.send_signal(how)
            service.process.wait()

        async def mend() -> None:
            await asyncio.sleep(seconds)
            service.launch()
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(service.ready):
                    if not service.running:
                        service.launch()
                    await asyncio.sleep(0.1)
            self.broken.discard(service)

        self.mending.append(asyncio.create_task(mend()))

    def _pause(self, service: Service, seconds: float) -> None:
        self.world.pause(service)

        async def resume() -> None:
            await asyncio.sleep(seconds)
            self.world.resume(service)

        self.mending.append(asyncio.create_task(resume()))


def script_of(answer: Answer) -> Script:
    """The provider's script for an answer."""
    size = max(1, -(-len(answer.text) // answer.deltas))
    deltas = tuple(answer.text[start : start + size] for start in range(0, len(answer.text), size))
    after = min(answer.fault_after, max(0, len(deltas) - 1))
    fields: dict[str, object] = {"deltas": deltas, "delay_between": answer.pace}
    match answer.fault:
        case "cut":
            fields |= {"cut_after": after}
        case "reset":
            fields |= {"cut_after": after, "cut": "reset"}
        case "stall":
            fields |= {"stall_after": after, "stall_seconds": 10}
        case "error event":
            fields |= {"error_event_after": after}
        case "no usage":
            fields |= {"usage_chunk": False}
        case "refuse":
            fields |= {"status": 400}
    return Script(**fields)  # type: ignore[arg-type]
