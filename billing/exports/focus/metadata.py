"""What FOCUS wants said beside the data: who made it, by which version, with which columns."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from billing.exports.arrow import PRECISION, SCALE
from billing.exports.focus.charges import SERVICE, TAG_PREFIX
from billing.exports.focus.columns import VERSIONS, FocusColumn

CONTENT_TYPE = "application/json"
CREATED = "2026-11-24T00:00:00Z"  # when these schemas were drawn up; another change, another instant
_SPACE = uuid.UUID("6f0f3a0e-5a0c-4f5c-9a51-0d5b1a8f6c11")
_TYPES = {
    "text": "String", "json": "JSON", "decimal": "Decimal", "instant": "DateTime", "integer": "Integer",
    "date": "Date", "truth": "Boolean",
}  # fmt: skip
_LENGTHS = {"BillingCurrency": 3}
_LONGEST = 1000


def schema_id(version: str) -> str:
    """The schema's UUID: another list of columns has another."""
    return str(uuid.uuid5(_SPACE, f"{version} {VERSIONS[version]}"))


def document(version: str) -> bytes:
    """The metadata file of a version, as JSON."""
    found = {
        "DataGenerator": {"DataGenerator": SERVICE},
        "Schema": [
            {
                "SchemaId": schema_id(version),
                "FocusVersion": version,
                "CreationDate": CREATED,
                "DataGeneratorVersion": "1",
                "ColumnDefinition": [_definition(column) for column in VERSIONS[version]],
            }
        ],
    }
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _definition(column: FocusColumn) -> dict[str, Any]:
    found: dict[str, Any] = {"ColumnName": column.name, "DataType": _TYPES[column.kind]}
    if column.kind in ("text", "json"):
        found |= {"StringMaxLength": _LENGTHS.get(column.name, _LONGEST), "StringEncoding": "UTF-8"}
    if column.kind == "decimal":
        found |= {"NumericPrecision": PRECISION, "NumberScale": SCALE}
    if column.name == "Tags":
        found["ProviderTagPrefixes"] = [TAG_PREFIX]
    return found
