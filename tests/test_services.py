"""The services that other tests lean on: each answers, and each is gone when its starter is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from tests.processes import ROOT
from tests.services import LocalModel, PostgreSQL, Redis, Web, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from accounts.models import User

pytestmark = pytest.mark.once("embedded")


def exists(pid: int) -> bool:
    """Whether a process is there and not just unreaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int, seconds: float = 15) -> bool:
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + seconds
    while exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not exists(pid)


def test_postgresql_answers_and_ends() -> None:
    with PostgreSQL() as postgresql:
        pid, folder = postgresql.pid, postgresql.folder
        with psycopg.connect(postgresql.url()) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("chat",)
            assert connection.execute("SHOW max_connections").fetchone() == ("200",)
    assert not exists(pid)
    assert not folder.exists()


def test_redis_answers_and_ends() -> None:
    with Redis() as service:
        pid = service.pid
        assert redis.Redis.from_url(service.url).set("a", 1)
    assert not exists(pid)


def test_a_killed_service_can_be_started_again() -> None:
    with Redis() as service:
        service.kill()
        with pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(service.url).ping()
        service.start()
        assert redis.Redis.from_url(service.url).ping()


def test_a_service_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="CHAT_RATE"), Web(1, {**os.environ, "CHAT_RATE": "many"}):
        pass


def test_services_end_when_the_test_run_is_killed(tmp_path: Path) -> None:
    program = (
        "import time; from tests.services import Redis\nwith Redis() as r: print(r.pid, flush=True); time.sleep(60)"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    with run.stdout:
        pid = int(run.stdout.readline())
    assert exists(pid)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert wait_until_gone(pid)


def test_web_serves_the_test_database(
    live_web: Web, alice: User, session_cookie: Callable[[User], tuple[str, str]]
) -> None:
    name, value = session_cookie(alice)
    request = urllib.request.Request(f"{live_web.url}/api/conversations/", headers={"Cookie": f"{name}={value}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert json.load(response)["results"] == []


def test_several_web_processes_run_at_once(start_web: Callable[..., Web]) -> None:
    first, second = start_web(), start_web()
    assert first.url != second.url
    first.kill()
    assert not exists(first.pid)
    assert second.ready()


def test_worker_starts_and_takes_beat_with_it(transactional_db: None, process_environment: dict[str, str]) -> None:
    with Worker(process_environment) as worker:
        children = [int(pid) for pid in Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]
        assert children
    assert not exists(worker.pid)
    assert all(wait_until_gone(child) for child in children)


def test_the_local_model_streams_with_usage(local_model: LocalModel) -> None:
    body = {
        "model": LocalModel.MODEL,
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_completion_tokens": 8,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    request = urllib.request.Request(
        f"{local_model.base_url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        data = [line[6:] for line in response if line.startswith(b"data: ")]
    assert data[-1].strip() == b"[DONE]"
    assert json.loads(data[-2])["usage"]["completion_tokens"] <= 8
    assert json.loads(data[0])["model"] == LocalModel.MODEL


def test_the_browser_and_the_orm_go_together(live_web: Web, page: Page, make_user: Callable[..., User]) -> None:
    page.goto(f"{live_web.url}/healthz")
    user = make_user("alice")
    assert type(user).objects.get(email="alice@example.com") == user
    assert page.evaluate("1 + 1") == 2
