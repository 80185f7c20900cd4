"""Figures: the middle and the tails of what was measured, and a row of the table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Iterable[float]) -> float:
    """The middle one."""
    return statistics.median(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what, ours, the bar, the bare figure beside it; `met` is None where there is no bar."""

    name: str
    what: str
    ours: float
    unit: str
    bar: str = "–"
    met: bool | None = None
    bare: float | None = None
    bare_is: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Ours over bare."""
        return self.ours / self.bare if self.bare else None


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| what | ours | bar | | beside it | ratio |", "|---|---|---|---|---|---|"]
    for row in rows:
        bare = "–" if row.bare is None else f"{shown(row.bare)} {row.unit} ({row.bare_is})"
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
        met = {None: "–", True: "met", False: "**missed**"}[row.met]
        lines.append(f"| {row.what} | {shown(row.ours)} {row.unit} | {row.bar} | {met} | {bare} | {ratio} |")
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three digits that say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
