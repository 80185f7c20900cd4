"""The doors of imports: API and page, and whom they are open to."""

from __future__ import annotations

import json
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from conversations.models import Conversation, ImportRun
from conversations.transfer import upload
from conversations.transfer.tasks import import_file
from tests.test_import_files import zipped
from tests.test_import_runs import talk

# The API works in threads of its own, which see what is committed.
pytestmark = pytest.mark.django_db(transaction=True)

EXPORT = json.dumps([talk(1), talk(2)]).encode()


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def post(client: Client, content: bytes, *, name: str = "conversations.json", path: str = "/api/imports/") -> Any:
    return client.post(path, {"file": SimpleUploadedFile(name, content)})


def test_nobody_imports_nothing(client: Client, db: None) -> None:
    assert post(client, EXPORT).status_code == 401
    assert client.get("/api/imports/").status_code == 401
    assert client.get("/import/").status_code == 302
    assert not ImportRun.objects.exists()


def test_a_small_file_is_imported_at_once(signed_in: Client) -> None:
    response = post(signed_in, zipped({"conversations.json": EXPORT}), name="chatgpt.zip")
    assert response.status_code == 201
    body = response.json()
    assert body["file_name"] == "chatgpt.zip"
    assert (body["state"], body["total"], body["done"], body["added"]) == ("done", 2, 2, 2)
    assert signed_in.get("/api/imports/").json()["results"] == [body]
    assert signed_in.get(f"/api/imports/{body['id']}/").json() == body


def test_a_large_file_waits_for_a_worker(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(import_file, "apply_async", lambda args, **_: sent.append(args[0]))
    monkeypatch.setattr(upload, "SMALL", 100)
    response = post(signed_in, EXPORT)
    assert response.status_code == 202
    assert sent == [response.json()["id"]]
    assert (response.json()["state"], response.json()["total"]) == ("waiting", None)
    assert post(signed_in, EXPORT).json()["error"]["code"] == "import_in_progress"
    import_file(sent[0])
    assert signed_in.get(f"/api/imports/{sent[0]}/").json()["added"] == 2


def test_without_a_broker_the_file_is_kept_for_later(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(import_file, "apply_async", away)
    monkeypatch.setattr(upload, "SMALL", 100)
    assert post(signed_in, EXPORT).status_code == 202
    assert ImportRun.objects.get().state == "waiting"


@pytest.mark.parametrize(
    ("content", "words"), [(b"[", "breaks off"), (b"[1]", "no export of"), (b"PK\x03\x04", "damaged"), (b"", "empty")]
)
def test_a_broken_file_gets_a_sentence_and_changes_nothing(signed_in: Client, content: bytes, words: str) -> None:
    response = post(signed_in, content)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "invalid_request"
    assert words in json.dumps(error)
    assert not Conversation.objects.exists()
    assert not ImportRun.objects.exists()


def test_a_request_without_a_file_says_so(signed_in: Client) -> None:
    response = signed_in.post("/api/imports/", {"file": "text"})
    assert response.status_code == 400
    assert "Choose a file" in response.json()["error"]["message"]
    assert signed_in.post("/api/imports/", "{}", content_type="application/json").status_code == 415


def test_files_may_be_larger_than_other_bodies_but_not_endless(signed_in: Client) -> None:
    padded = EXPORT[:-1] + b" " * 2_000_000 + b"]"
    packed = zipped({"conversations.json": EXPORT, "pictures": b"\0" * 2_000_000}, method=zipfile.ZIP_STORED)
    assert len(packed) > 2_000_000
    assert post(signed_in, packed).status_code == 201
    assert post(signed_in, padded).status_code == 202
    assert post(signed_in, padded, path="/api/conversations/").status_code == 413
    response = signed_in.generic("POST", "/api/imports/", b"", CONTENT_LENGTH="999999999")
    assert response.status_code == 413
    assert response.json()["error"]["limit"] == 104_857_600 + 65_536


def test_a_file_can_be_the_body_itself(signed_in: Client) -> None:
    response = signed_in.generic(
        "POST", "/api/imports/", EXPORT, "application/octet-stream",
        headers={"Content-Disposition": "attachment; filename*=utf-8''%C3%BC%20x.json"},
    )  # fmt: skip
    assert response.status_code == 201
    assert (response.json()["file_name"], response.json()["added"]) == ("ü x.json", 2)
    response = signed_in.generic("POST", "/api/imports/", EXPORT, "application/octet-stream")
    assert (response.json()["file_name"], response.json()["existing"]) == ("file", 2)
    response = signed_in.generic("POST", "/api/imports/", b"", "application/octet-stream")
    assert response.status_code == 400


def test_a_script_of_another_site_cannot_send_one(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = client.generic("POST", "/api/imports/", EXPORT, "application/octet-stream")
    assert response.status_code in (401, 403)
    assert not ImportRun.objects.exists()


def test_another_user_s_import_is_not_there(signed_in: Client, bob: User) -> None:
    body = post(signed_in, EXPORT).json()
    other = Client()
    other.force_login(bob)
    assert other.get(f"/api/imports/{body['id']}/").status_code == 404
    assert other.get("/api/imports/").json()["results"] == []
    assert "conversations.json" not in other.get("/import/").content.decode().split('id="imports"')[1]


def test_the_page_takes_a_file_without_a_script(signed_in: Client) -> None:
    response = post(signed_in, EXPORT, path="/import/")
    assert response.status_code == 302
    html = signed_in.get("/import/").content.decode()
    assert "2 added" in html
    assert "<style" not in html
    assert " style=" not in html
    assert html.count("<h1") == 1
    post(signed_in, EXPORT, path="/import/")
    assert "0 added, 2 here already" in signed_in.get("/import/").content.decode()
    response = post(signed_in, b"[", path="/import/")
    assert response.status_code == 400
    assert "breaks off" in response.content.decode()
