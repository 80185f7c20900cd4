"""The rows of the table, by the name that `make bench ARGS=…` takes."""

from collections.abc import Callable

from benchmarks.figures import Row
from benchmarks.rows import (
    conversation,
    cpu,
    delay,
    exports,
    first_delta,
    idle,
    page,
    pairs,
    peers,
    quotes,
    rollup,
    stop,
    ten_million,
)  # fmt: skip
from benchmarks.stage import Stage

ROWS: dict[str, Callable[[Stage], list[Row]]] = {
    "first": first_delta.one,
    "first50": first_delta.at_once,
    "cpu": cpu.measure,
    "delay": delay.measure,
    "pairs": pairs.measure,
    "stop": stop.measure,
    "long": conversation.measure,
    "idle": idle.measure,
    "exports": exports.measure,
    "page": page.measure,
    "quotes": quotes.measure,
    "rollup": rollup.measure,
    "books": ten_million.measure,
    "peers": peers.measure,
}
