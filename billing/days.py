"""Days that somebody asks for: of years that the books can have, so that nobody reckons beyond the calendar's ends."""

from __future__ import annotations

from datetime import date

from django.utils.translation import gettext as _

YEARS = range(2000, 2101)


def refusal(day: date) -> str:
    """Why a day can't be asked for, as a sentence; empty where it can."""
    if day.year in YEARS:
        return ""
    return _("The year must be one from %(first)d to %(last)d.") % {"first": YEARS[0], "last": YEARS[-1]}
