"""Days and instants as people read them, in the language that is spoken."""

from __future__ import annotations

from datetime import date, datetime

from django.utils.formats import date_format
from django.utils.translation import gettext as _


def day(of: date) -> str:
    """Such as 3 November 2026; of an instant, the day in its own time zone."""
    return date_format(of, "DATE_FORMAT")


def day_of_year(of: date) -> str:
    """Such as 3 November."""
    return date_format(of, "MONTH_DAY_FORMAT")


def month(of: date) -> str:
    """Such as November 2026."""
    return date_format(of, "YEAR_MONTH_FORMAT")


def instant(of: datetime) -> str:
    """Such as 14:00 UTC on 3 November 2026, in the instant's own time zone."""
    return _("%(time)s on %(day)s") % {"time": date_format(of, "H:i T"), "day": day(of)}
