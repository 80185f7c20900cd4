"""What so many daily users need: the arithmetic of docs/scaling.md, and a simulation that checks it.

`python -m benchmarks.scaling` takes the measured figures from var/benchmarks/latest.json (`make bench` writes
it) and prints the table of the document; `--check` simulates a busy hour of each size and compares.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
from dataclasses import dataclass, fields
from pathlib import Path

from deploy.processes import ROOT

SIZES = (1_000, 100_000, 10_000_000)

# How people behave: assumptions, each to be replaced by what one's own /metrics say.
MESSAGES_A_DAY = 8  # of a daily user
BUSIEST_HOUR = 0.12  # its share of the day's messages
OPEN_TABS = 0.25  # daily users who have a tab open in the busiest hour
INPUT_TOKENS, OUTPUT_TOKENS = 1_200, 300  # of a call: a window of history in, an answer out
TOKENS_A_SECOND = 60  # at which the provider talks
FILLED = 0.6  # how full a process or a server may be in the busiest hour

# What things cost, in dollars a month of 730 hours; list prices of a large cloud, rounded.
CORE_HOUR, GIGABYTE_HOUR = 0.04, 0.005
INPUT_PRICE, OUTPUT_PRICE = 0.15, 0.60  # of gpt-4o-mini, a million tokens

# Of PostgreSQL and Redis, from their own benchmarks on common servers, where this machine is too small to say.
COMMITS_A_CORE = 3_000  # small transactions a second of a PostgreSQL core
REDIS_COMMANDS = 100_000  # a second, of one Redis process
BYTES_A_CALL = 2_600  # in PostgreSQL: two messages, a usage record, its holds, with indexes


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of `make bench` that the model stands on; seconds of CPU, bytes, pairs a second."""

    reply: float = 0.045
    delta: float = 0.000_070
    socket: float = 42_000
    pairs: float = 38  # holds and settlings a second, all of which lock the row of everyone's budget

    @classmethod
    def read(cls, file: Path) -> Measured:
        """From the benchmark's JSON; what it lacks is as of the run that docs/scaling.md names."""
        found = json.loads(file.read_text()) if file.exists() else {}
        cpu, idle, pairs = (found.get(name, {}) for name in ("cpu", "idle", "pairs"))
        values = {
            "reply": cpu.get("detail", {}).get("reply_without_its_deltas_ms", 0) / 1000,
            "delta": cpu.get("detail", {}).get("delta_alone_us", 0) / 1e6,
            "socket": idle.get("ours", 0) * 1024,
            "pairs": pairs.get("ours", 0),
        }
        return cls(**{name: value for name, value in values.items() if value > 0})


@dataclass(frozen=True, slots=True)
class Need:
    """What a size needs in its busiest hour; money in dollars a month."""

    users: int
    sends: float  # a second
    streams: float  # at once
    sockets: float
    web_cores: float
    web_processes: int
    web_memory: float  # bytes
    row_load: float  # share of what the everyone-budget's row takes, 1 being all of it
    database_cores: float
    rows_a_day: float
    growth: float  # bytes a year
    redis_commands: float
    redis_processes: int
    machines_cost: float
    provider_cost: float


def need(users: int, measured: Measured) -> Need:
    """The arithmetic, a line a quantity."""
    messages = users * MESSAGES_A_DAY
    sends = messages * BUSIEST_HOUR / 3600
    streams = sends * OUTPUT_TOKENS / TOKENS_A_SECOND  # Little's law: arrivals times the time that each stays
    sockets = users * OPEN_TABS
    web_cores = sends * (measured.reply + OUTPUT_TOKENS * measured.delta)
    web_processes = max(2, math.ceil(web_cores / FILLED), math.ceil(sockets / 20_000))
    web_memory = web_processes * 250e6 + sockets * measured.socket
    transactions = sends * 2  # a hold, a settling; each locks the row of everyone's budget
    row_load = sends / measured.pairs
    database_cores = transactions * 3 / COMMITS_A_CORE / FILLED  # and reads beside them
    frames = streams / 0.06  # a frame is 30 to 120 ms
    redis_commands = frames * 3  # append, publish, deliver
    redis_processes = max(1, math.ceil(redis_commands / REDIS_COMMANDS / FILLED))
    machines = (web_cores / FILLED + max(2, database_cores) * 2 + redis_processes * 2) * CORE_HOUR * 730
    memory = (web_memory + users * 20_000) / 1e9 * GIGABYTE_HOUR * 730
    provider = messages * 30 * (INPUT_TOKENS * INPUT_PRICE + OUTPUT_TOKENS * OUTPUT_PRICE) / 1e6
    return Need(
        users, sends, streams, sockets, web_cores, web_processes, web_memory, row_load, database_cores,
        messages, messages * 365 * BYTES_A_CALL, redis_commands, redis_processes, machines + memory, provider,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """What a simulated stretch of the busiest hour showed."""

    streams: float  # at once, on average
    most_streams: int
    web_busy: float  # share of the web processes' time
    row_busy: float  # share of the time that the everyone-budget's row is locked
    waited: float  # seconds for that row, the 99th of a hundred


def simulate(users: int, measured: Measured, *, seconds: float = 120.0, seed: int = 1) -> Seen:
    """Sends come at random, as the model's rate says; every send holds, streams and settles.

    The row is one server with a queue: a pair of locks takes as long as was measured. Web work is summed
    up. For very many users a share of them is simulated, with a row as much slower.
    """
    wanted = need(users, measured)
    share = min(1.0, 2_000 / wanted.sends)
    dice = random.Random(seed)  # noqa: S311 - a simulation
    free, busy, work, running, most = 0.0, 0.0, 0.0, 0, 0
    waits: list[float] = []
    spent = 0.0  # stream-seconds
    events: list[tuple[float, int]] = [(dice.expovariate(wanted.sends * share), 0)]
    while events:
        now, kind = heapq.heappop(events)
        if kind == 0 and now < seconds:
            heapq.heappush(events, (now + dice.expovariate(wanted.sends * share), 0))
        if kind == 0 and now >= seconds:
            continue
        begin = max(free, now)
        lock = dice.expovariate(2 * measured.pairs * share)
        free = begin + lock
        busy += lock if begin < seconds else 0.0
        waits.append(begin - now)
        if kind == 0:
            length = max(1.0, dice.gauss(OUTPUT_TOKENS, OUTPUT_TOKENS / 3))
            work += measured.reply + length * measured.delta
            running += 1
            most = max(most, running)
            spent += max(0.0, min(seconds, now + length / TOKENS_A_SECOND) - now)
            heapq.heappush(events, (now + length / TOKENS_A_SECOND, 1))
        else:
            running -= 1
    waits.sort()
    return Seen(
        streams=spent / seconds / share,
        most_streams=round(most / share),
        web_busy=work / seconds / share / wanted.web_processes,
        row_busy=min(1.0, busy / seconds),
        waited=waits[int(len(waits) * 0.99)],
    )


def table(needs: list[Need]) -> str:
    """The document's table."""
    rows = {
        "sends a second, busiest hour": lambda one: f"{one.sends:,.1f}",
        "streams at once": lambda one: f"{one.streams:,.0f}",
        "open sockets": lambda one: f"{one.sockets:,.0f}",
        "web cores": lambda one: f"{one.web_cores:,.1f}",
        "web processes, filled to 60 %": lambda one: f"{one.web_processes:,}",
        "web memory": lambda one: f"{one.web_memory / 1e9:,.1f} GB",
        "load of the everyone-budget's row": lambda one: f"{one.row_load:.1%}",
        "PostgreSQL cores": lambda one: f"{max(1, math.ceil(one.database_cores)):,}",
        "usage records a day": lambda one: f"{one.rows_a_day:,.0f}",
        "growth of the database a year": lambda one: f"{one.growth / 1e9:,.0f} GB",
        "Redis commands a second": lambda one: f"{one.redis_commands:,.0f}",
        "Redis processes": lambda one: f"{one.redis_processes:,}",
        "machines, dollars a month": lambda one: f"{one.machines_cost:,.0f}",
        "provider, dollars a month": lambda one: f"{one.provider_cost:,.0f}",
    }
    lines = ["| daily users | " + " | ".join(f"{one.users:,}" for one in needs) + " |", "|---" * (len(needs) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(shown(one) for one in needs) + " |" for name, shown in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Print the table; with `--check`, what the simulation saw beside what was computed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--check", action="store_true", help="simulate, and compare")
    parser.add_argument("--figures", type=Path, default=ROOT / "var" / "benchmarks" / "latest.json")
    options = parser.parse_args()
    measured = Measured.read(options.figures)
    print("Measured: " + ", ".join(f"{one.name} {getattr(measured, one.name):.3g}" for one in fields(measured)))
    needs = [need(users, measured) for users in SIZES]
    print(f"\n{table(needs)}\n")
    for one in needs if options.check else ():
        seen = simulate(one.users, measured)
        waited = f"p99 wait for it {seen.waited * 1000:,.1f} ms" if one.row_load < 1 else "the wait grows without end"
        print(
            f"{one.users:,} users: streams {one.streams:,.0f} computed, {seen.streams:,.0f} simulated (most "
            f"{seen.most_streams:,}); web processes busy {one.web_cores / one.web_processes:.0%} computed, "
            f"{seen.web_busy:.0%} simulated; the row busy {one.row_load:.1%} computed, {seen.row_busy:.1%} "
            f"simulated, {waited}"
        )


if __name__ == "__main__":
    main()
