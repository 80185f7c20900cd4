"""The bar chart of a month: pure geometry. Across in percent, up and down in pixels, so that it fits any width."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from billing.usage import Month

TOP, BASE, HEIGHT = 14, 186, 210  # pixels: where the highest line, the axis and the picture's edge are
SERIES = 4  # colours that can be told apart; what is beyond is "other"
BAR_SHARE = 0.68  # of a day's width
GAP = 1  # pixel between two series of a bar
LINES = 5
LIMIT_REACH = 4  # times the highest bar
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A horizontal line with its amount in nano-dollars."""

    y: float
    amount: int

    @property
    def text_y(self) -> float:
        """Where its words stand."""
        return self.y - 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """One series of a bar; `series` counts from 1."""

    series: int
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A day; `x`, `middle` and `width` in percent, `total` in nano-dollars."""

    day: date
    x: float
    middle: float
    width: float
    labelled: bool
    total: int
    rects: list[Rect]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything that the template draws."""

    series: list[tuple[int, str]]
    lines: list[Line]
    limit: Line | None
    bars: list[Bar]
    highest: Bar | None


def of_month(*, month: Month, limit: int) -> Chart:
    """A month's spend by day and model, with the daily limit (nano-dollars) where it is in reach."""
    rows = month.by_day(until=month.last)
    named = len(month.models) if len(month.models) <= SERIES else SERIES - 1
    names = [*month.models[:named], *(["other"] if named < len(month.models) else [])]
    peak = max((total.cost for *_, total in rows), default=0)
    # A limit far above what is spent would flatten every bar, so it is drawn only where it is in reach.
    shows_limit = 0 < limit <= peak * LIMIT_REACH
    step = _step(max(peak, limit if shows_limit else 0, 1))
    scale = (BASE - TOP) / (step * LINES)
    bars = []
    for index, (day, by_model, total) in enumerate(rows):
        costs = [sums.cost for sums in by_model]
        stacked = [*costs[:named], *([sum(costs[named:])] if named < len(costs) else [])]
        width = 100 / len(rows)
        bars.append(
            Bar(
                day=day,
                x=round(width * (index + (1 - BAR_SHARE) / 2), 2),
                middle=round(width * (index + 0.5), 2),
                width=round(width * BAR_SHARE, 2),
                labelled=day.day == 1 or (day.day % 5 == 0 and day.day <= len(rows)),
                total=total.cost,
                rects=_stack(stacked, scale),
            )
        )
    return Chart(
        series=[(place, name) for place, name in enumerate(names, start=1)],
        lines=[Line(y=round(BASE - scale * step * n, 1), amount=step * n) for n in range(LINES + 1)],
        limit=Line(y=round(BASE - scale * limit, 1), amount=limit) if shows_limit else None,
        bars=bars,
        highest=max(bars, key=lambda bar: bar.total) if peak else None,
    )


def _stack(costs: list[int], scale: float) -> list[Rect]:
    rects = []
    below = 0.0
    for series, cost in enumerate(costs, start=1):
        if not cost:
            continue
        height = cost * scale
        gap = GAP if below and height > 2 * GAP else 0
        rects.append(Rect(series=series, y=round(BASE - below - height, 1), height=round(max(0.5, height - gap), 1)))
        below += height
    return rects


def _step(peak: int) -> int:
    """A round amount of which `LINES` reach over the peak."""
    exponent = len(str(max(1, peak // LINES))) - 1
    for digit in _STEPS:
        step = int(digit * 10**exponent)
        if step * LINES >= peak:
            return step
    return int(10 ** (exponent + 1))
