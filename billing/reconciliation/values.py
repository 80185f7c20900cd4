"""Values out of files that anybody may have written: checked, bounded, exact."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest

LARGEST_AMOUNT = Decimal(10) ** 9  # dollars in one line
FINEST_EXPONENT = -60
LARGEST_COUNT = 10**15
LONGEST_NAME = 200
_EARLIEST, _LATEST = 1_420_070_400, 4_102_444_800  # 2015 and 2100, in Unix seconds
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Unreadable(InvalidRequest):
    """A file that is not what it should be; the sentence says where and why."""


def instant(value: Any, *, what: str) -> datetime:
    """An instant, given as Unix seconds or in ISO form (UTC where it says nothing else)."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    try:
        if re.fullmatch(r"\d{1,12}", text, re.ASCII):
            seconds = int(text)
            if not _EARLIEST <= seconds <= _LATEST:
                raise ValueError
            return datetime.fromtimestamp(seconds, UTC)
        given = datetime.fromisoformat(text)
        found = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        if not _EARLIEST <= found.timestamp() <= _LATEST:
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise Unreadable(_("%(what)s is not a time: %(value)s.") % {"what": what, "value": _shown(value)}) from error
    return found


def amount(value: Any, *, what: str) -> Decimal:
    """Dollars, exact; floats were read as they are written."""
    try:
        if isinstance(value, bool | float) or not isinstance(value, Decimal | int | str):
            raise InvalidOperation
        found = Decimal(value.strip() if isinstance(value, str) else value)
        exponent = found.as_tuple().exponent
        fits = isinstance(exponent, int) and exponent >= FINEST_EXPONENT and found.adjusted() < 20
        if not fits or abs(found) > LARGEST_AMOUNT:
            raise InvalidOperation
    except InvalidOperation as error:
        raise Unreadable(_("%(what)s is not an amount: %(value)s.") % {"what": what, "value": _shown(value)}) from error
    return found


def count(value: Any, *, what: str) -> int:
    """A count; nothing, an empty text included, is 0."""
    if value is None or value == "":
        return 0
    text = str(value).strip() if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"\d{1,16}(\.0+)?", text, re.ASCII) or int(text.partition(".")[0]) > LARGEST_COUNT:
        raise Unreadable(_("%(what)s is not a count: %(value)s.") % {"what": what, "value": _shown(value)})
    return int(text.partition(".")[0])


def name(value: Any, *, what: str) -> str | None:
    """A name without what a database or a screen can't take; None where there is none."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        raise Unreadable(_("%(what)s is not a name: %(value)s.") % {"what": what, "value": _shown(value)})
    return _CONTROLS.sub("", value).strip() or None


def _shown(value: Any) -> str:
    return _CONTROLS.sub("?", repr(value)[:60])
