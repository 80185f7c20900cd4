"""Forms in which usage records leave the house: one module a format, each with the same names."""

from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest
from billing.exports import csv, parquet, xlsx
from billing.exports.focus import documents
from billing.exports.format import Format, Watch, Written, unwatched

FORMATS: dict[str, Format] = {
    "csv": csv,
    "xlsx": xlsx,
    "parquet": parquet,
    "focus": documents.CSV,
    "focus-parquet": documents.PARQUET,
}

__all__ = ["FORMATS", "Format", "Watch", "Written", "of", "unwatched"]


def of(name: str, *, focus_version: str | None = None) -> Format:
    """A format by its name; of FOCUS a version. Raises InvalidRequest."""
    if name not in FORMATS:
        raise InvalidRequest(
            _("There is no such format."), fields={"format": [_("One of %(names)s.") % {"names": ", ".join(FORMATS)}]}
        )
    if focus_version and name.startswith("focus"):
        return documents.FocusFile(version=focus_version, parquet=name == "focus-parquet")
    return FORMATS[name]
