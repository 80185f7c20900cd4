"""What commands take, for argparse."""

from argparse import ArgumentTypeError
from datetime import date

from billing import days


def day(text: str) -> date:
    """A day such as 2026-10-31."""
    found = date.fromisoformat(text)
    if why := days.refusal(found):
        raise ArgumentTypeError(why)
    return found


def month(text: str) -> date:
    """The first day of a month such as 2026-10."""
    return day(f"{text}-01")
