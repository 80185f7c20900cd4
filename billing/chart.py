"""Bar charts: pure geometry. Across in percent, up and down in pixels, so that they fit any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts import dates
from billing import money

TOP, BASE = 14, 186  # pixels: where the highest line and the axis are
SERIES = 4  # colours that can be told apart; what is beyond is "other"
BAR_SHARE = 0.68  # of a bar's room
GAP = 1  # pixel between two series of a bar
LINES = 5
LIMIT_REACH = 4  # times the highest bar
MOST_BARS = 62  # days; more of them are shown by month
MOST_LABELS = 8
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A horizontal line with its amount in nano-dollars."""

    y: float
    amount: int
    whole: bool = False  # all lines of the chart are whole dollars

    @property
    def dollars(self) -> int:
        """The amount in whole dollars."""
        return self.amount // money.NANO_PER_DOLLAR

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
    """A day or a month; `x`, `middle` and `width` in percent, amounts in nano-dollars."""

    day: date
    name: str
    label: str  # under the axis; empty where there is no room for one
    x: float
    middle: float
    width: float
    total: int
    costs: list[int]
    amounts: list[tuple[str, int]]
    rects: list[Rect]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything that a template draws; `monthly`: its bars are months, as there are too many days."""

    monthly: bool
    series: list[tuple[int, str]]
    lines: list[Line]
    limit: Line | None
    bars: list[Bar]
    highest: Bar | None


def draw(
    *, days: Sequence[tuple[date, Sequence[int]]], names: Sequence[str], limit: int = 0, other: bool = False
) -> Chart:
    """Days in order, each with the nano-dollars of each name; with a limit where it is in reach.

    At most SERIES names are told apart, the rest is "other"; `other` says that the last name is that already.
    More than MOST_BARS days become months. What is below zero has no bar, but its amount is named.
    """
    names, days = _gathered(list(names), days, other=other)
    monthly = len(days) > MOST_BARS
    bars = _by_month(days) if monthly else list(days)
    peak = max((sum(max(0, cost) for cost in costs) for _, costs in bars), default=0)
    # A limit far above what is spent would flatten every bar, so it is drawn only where it is in reach.
    shows_limit = not monthly and 0 < limit <= peak * LIMIT_REACH
    step = _step(max(peak, limit if shows_limit else 0, 1))
    scale = (BASE - TOP) / (step * LINES)
    width = 100 / max(1, len(bars))
    drawn = [
        Bar(
            day=day,
            name=dates.month(day) if monthly else dates.day_of_year(day),
            label=label,
            x=round(width * (index + (1 - BAR_SHARE) / 2), 2),
            middle=round(width * (index + 0.5), 2),
            width=round(width * BAR_SHARE, 2),
            total=sum(costs),
            costs=costs,
            amounts=[(name, cost) for name, cost in zip(names, costs, strict=True) if cost],
            rects=_stack(costs, scale),
        )
        for index, ((day, costs), label) in enumerate(zip(bars, _ticks([day for day, _ in bars], monthly), strict=True))
    ]
    return Chart(
        monthly=monthly,
        series=[(place, name) for place, name in enumerate(names, start=1)],
        lines=[
            Line(y=round(BASE - scale * step * n, 1), amount=step * n, whole=step % money.NANO_PER_DOLLAR == 0)
            for n in range(LINES + 1)
        ],
        limit=Line(y=round(BASE - scale * limit, 1), amount=limit) if shows_limit else None,
        bars=drawn,
        highest=max(drawn, key=lambda bar: bar.total) if peak else None,
    )


def _gathered(
    names: list[str], days: Sequence[tuple[date, Sequence[int]]], *, other: bool
) -> tuple[list[str], list[tuple[date, list[int]]]]:
    """The names that can be told apart, and "other"."""
    if len(names) <= SERIES or other:
        return names, [(day, list(costs)) for day, costs in days]
    named = SERIES - 1
    return [*names[:named], _("other")], [(day, [*costs[:named], sum(costs[named:])]) for day, costs in days]


def _by_month(days: Sequence[tuple[date, list[int]]]) -> list[tuple[date, list[int]]]:
    months: dict[date, list[int]] = {}
    for day, costs in days:
        sums = months.setdefault(day.replace(day=1), [0] * len(costs))
        sums[:] = [before + cost for before, cost in zip(sums, costs, strict=True)]
    return list(months.items())


def _ticks(days: Sequence[date], monthly: bool) -> list[str]:
    """What stands under the axis: of one month the first and every fifth day, else at most MOST_LABELS dates."""
    if not monthly and len({(day.year, day.month) for day in days}) == 1:
        return [str(day.day) if day.day % 5 == 0 or day.day == 1 or len(days) < MOST_LABELS else "" for day in days]
    every = -(-len(days) // MOST_LABELS) or 1
    form = "M y" if monthly else _("j M")
    return [date_format(day, form) if place % every == 0 else "" for place, day in enumerate(days)]


def _stack(costs: Sequence[int], scale: float) -> list[Rect]:
    rects = []
    below = 0.0
    for series, cost in enumerate(costs, start=1):
        if cost <= 0:
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
