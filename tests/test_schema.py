"""The OpenAPI schema: valid, whole, and where the contract says."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

from django.core.management import call_command

from accounts.models import User
from tests.people import Person

OPERATIONS = {
    ("get", "/api/conversations/"), ("post", "/api/conversations/"), ("get", "/api/conversations/{conversation_id}/"),
    ("patch", "/api/conversations/{conversation_id}/"), ("delete", "/api/conversations/{conversation_id}/"),
    ("get", "/api/conversations/{conversation_id}/messages/"),
    ("post", "/api/conversations/{conversation_id}/messages/"), ("post", "/api/messages/{message_id}/regenerate/"),
    ("get", "/api/messages/{message_id}/events/"), ("post", "/api/messages/{message_id}/stop/"),
    ("get", "/api/usage/"), ("get", "/api/budget/"),
}  # fmt: skip
LISTS = (
    "/api/conversations/", "/api/conversations/{conversation_id}/messages/", "/api/messages/{message_id}/siblings/",
    "/api/imports/",
)  # fmt: skip


def test_the_schema_is_valid_and_names_every_address() -> None:
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", stdout=out)
    schema = json.loads(out.getvalue())
    assert schema["openapi"].startswith("3.")
    found = {(method, path) for path, methods in schema["paths"].items() for method in methods}
    assert found >= OPERATIONS
    schemas = schema["components"]["schemas"]
    for path in LISTS:
        answer = schema["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert set(schemas[answer["$ref"].rpartition("/")[2]]["properties"]) == {"next", "previous", "results"}, path
    message = schemas["Message"]
    assert set(message["required"]) >= {"id", "conversation", "content", "usage", "status"}


def test_schema_and_docs_answer(enter: Callable[..., Person], alice: User) -> None:
    person = enter(alice)
    schema = person.get("schema/")
    assert (schema.status_code, b"/api/conversations/" in schema.content) == (200, True)
    page = person.get("docs/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
