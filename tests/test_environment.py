"""A value in the environment that does not fit stops the start with a sentence that names it, and tells no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from chatproject import environment
from tests.processes import ROOT

pytestmark = pytest.mark.once("embedded")

WRONG = [
    ("REDIS_URL", "foo"),
    ("REDIS_URL", "redis://h:abc/0"),
    ("REDIS_URL", "http://h:6379/0"),
    ("REDIS_URL", "redis://h:6379/cache"),
    ("REDIS_URL", "unix:///run/redis.sock?db=cache"),
    ("CELERY_BROKER_URL", "foo"),
    ("CELERY_BROKER_URL", "http://h/"),
    ("CELERY_BROKER_URL", "redis://h:abc/0"),
    ("CELERY_BROKER_URL", "rediss://h:6379/tasks"),
    ("CELERY_BROKER_URL", "amqp://a;foo"),
    ("OPENAI_BASE_URL", "foo"),
    ("OPENAI_BASE_URL", "ftp://h/v1"),
    ("OPENAI_BASE_URL", "https://"),
    ("OPENAI_BASE_URL", "https://h:abc/v1"),
    ("OPENAI_API_KEY_FILE", "/nope"),
    ("OPENAI_API_KEY_FILE", "/tmp"),
    ("OPENAI_API_KEY_FILE", __file__),
    ("OPENAI_API_KEY_FILE", sys.executable),
    ("OPENAI_API_KEY", "schlüssel"),
    ("OPENAI_API_KEY", "sk-one\nsk-two"),
    ("OPENAI_API_KEY", "sk one"),
    ("CSRF_TRUSTED_ORIGINS", "chat.example.com"),
    ("CSRF_TRUSTED_ORIGINS", "https://chat.example.com,chat.example.org"),
    ("CSRF_TRUSTED_ORIGINS", "https://chat.example.com/"),
    ("CSRF_TRUSTED_ORIGINS", "https://"),
    ("CHAT_RATE", "1/9999999999999d"),
    ("CHAT_RATE", "1/0m"),
    ("CHAT_RATE", "0/m"),
    ("CHAT_RATE_IP", "99999999999999999999/m"),
    ("CHAT_RATE_QUOTE", "15"),
    ("VAR_DIR", "/proc/x"),
    ("VAR_DIR", "/dev/null"),
]
RIGHT = [
    ("REDIS_URL", "redis://user:secret@cache.internal:6379/2"),
    ("REDIS_URL", "rediss://cache.internal"),
    ("REDIS_URL", "unix:///run/redis.sock?db=1"),
    ("CELERY_BROKER_URL", "filesystem://"),
    ("CELERY_BROKER_URL", "amqp://a:5672//;amqp://b:5672//"),
    ("CELERY_BROKER_URL", "rediss://:secret@cache.internal:6380/1"),
    ("CELERY_BROKER_URL", "sentinel://a:26379;sentinel://b:26379"),
    ("CELERY_BROKER_URL", "sqla+sqlite:///broker.sqlite3"),
    ("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1/"),
    ("OPENAI_API_KEY", "sk-proj-aA0_-"),
    ("CSRF_TRUSTED_ORIGINS", "https://*.example.com, http://localhost:8080,https://[::1]:8443"),
    ("CHAT_RATE", "100/3600s"),
    ("CHAT_RATE", "5/30d"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_does_not_fit(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as stopped:
        environment.read()
    assert str(stopped.value).startswith(f"{name} ")


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_what_fits(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(environment.read(), name) == value


@pytest.mark.parametrize("content", [b"", b"sk-one\n", b"\xef\xbb\xbfsk-one"])
def test_a_file_with_one_key_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(file))
    assert str(file) == environment.read().OPENAI_API_KEY_FILE


def test_a_key_that_cannot_be_sent_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-geheim ü")
    with pytest.raises(ImproperlyConfigured) as stopped:
        environment.read()
    assert "geheim" not in str(stopped.value)


@pytest.mark.parametrize("name", ["REDIS_URL", "CELERY_BROKER_URL"])
def test_a_password_in_an_address_is_not_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "redis://:the-password@h:abc/0")
    with pytest.raises(ImproperlyConfigured) as stopped:
        environment.read()
    assert "the-password" not in str(stopped.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"VAR_DIR": "/proc/x"},
        {"VAR_DIR": "/proc"},
        {"VAR_DIR": "/proc", "SECRET_KEY": "given", "DATABASE_URL": "sqlite://"},
        {"REDIS_URL": "redis://h:abc/0"},
        {"DATABASE_URL": "sqlite:////proc/x/chat.sqlite3"},
    ],
    ids=str,
)
def test_a_process_ends_with_that_sentence(tmp_path: Path, wrong: dict[str, Any]) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in environment.Environment.model_fields}
    env = {**kept, "VAR_DIR": str(tmp_path / "made" / "here"), **wrong}
    ended = subprocess.run(
        [sys.executable, "-c", "import chatproject.settings"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    *_, last = ended.stderr.strip().splitlines()
    assert ended.returncode == 1
    assert last.startswith(f"django.core.exceptions.ImproperlyConfigured: {next(iter(wrong))} is ")
    assert "During handling" not in ended.stderr


@pytest.mark.parametrize(
    ("address", "why"),
    [("postgres://u:the-password@127.0.0.1:1/x", "couldn't get a connection"), ("", "no such table")],
)
def test_a_command_says_in_a_sentence_that_there_is_no_database(tmp_path: Path, address: str, why: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in environment.Environment.model_fields}
    ended = subprocess.run(
        [sys.executable, "manage.py", "recover_replies"],
        cwd=ROOT, env={**kept, "VAR_DIR": str(tmp_path), "DATABASE_URL": address}, capture_output=True, text=True,
    )  # fmt: skip
    *_, last = ended.stderr.strip().splitlines()
    assert ended.returncode == 1
    assert last.startswith("The database does not answer, or lacks what `manage.py migrate` makes: ")
    assert why in last
    assert "Traceback" not in ended.stderr
    assert "the-password" not in ended.stderr


@pytest.mark.only("scaled")
@pytest.mark.once("scaled")
def test_a_command_says_so_of_a_postgresql_without_tables_too(tmp_path: Path) -> None:
    env = {**os.environ, "VAR_DIR": str(tmp_path)}  # its database is there, but empty: tests use another
    ended = subprocess.run(
        [sys.executable, "manage.py", "recover_replies"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "The database does not answer, or lacks what `manage.py migrate` makes: "
        'relation "conversations_message" does not exist\n'
    )
