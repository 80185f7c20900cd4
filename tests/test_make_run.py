"""`make run`: how it ends, and what it says where it can't begin."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from deploy.local.run import free_port
from tests.processes import ROOT, Service

pytestmark = [pytest.mark.once("embedded"), pytest.mark.timeout(400)]

COMMAND = [sys.executable, "-m", "deploy.local.run"]
QUESTION = "Tell me a very long story about the sea, with many islands."


def environment(folder: Path, **more: str) -> dict[str, str]:
    ours = ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "DJANGO_SETTINGS_MODULE")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    return {**env, "VAR_DIR": str(folder), "CHAT_TITLES": "false", **more}


class MakeRun(Service):
    """The command with the local model."""

    name, ready_seconds, stop_seconds = "make-run", 240, 60

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()

    def command(self) -> list[str]:
        return COMMAND

    def environment(self) -> dict[str, str]:
        return environment(self.folder, PORT=str(self.port))

    def ready(self) -> bool:
        return "Ready after" in self.log

    def token(self) -> str:
        create = [sys.executable, "manage.py", "create_token", "user@example.com"]
        env = environment(self.folder)
        return subprocess.run(create, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout.strip()


SLOW_TO_END = """
from deploy.local.run import Supervisor
manager = Supervisor(address="", probes=[], started=0.0)
manager.add_process("web", "sleep 1")
manager.add_process("worker", "trap 'sleep 6; exit 0' TERM; while :; do sleep 0.1; done")
manager.loop()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    """One for all tests here, which the last that uses it ends."""
    with MakeRun(tmp_path_factory.mktemp("run")) as started:
        yield started


def test_where_nothing_can_be_kept_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    env = environment(file, PORT=str(free_port()))
    refused = subprocess.run(COMMAND, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Nothing can be kept in {file}: File exists. ")


def test_a_worker_that_takes_longer_than_honcho_waits_is_not_killed() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SLOW_TO_END], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    assert "SIGKILL" not in ended.stdout
    assert "worker stopped (rc=0)" in ended.stdout


def test_a_second_one_says_that_there_is_a_first(running: MakeRun) -> None:
    env = environment(running.folder, PORT=str(free_port()))
    second = subprocess.run(COMMAND, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"Another `make run`, process {running.pid}, uses {running.folder}." in second.stderr
    assert running.running


def test_a_reply_that_is_being_written_when_it_ends_is_interrupted_and_keeps_its_text(running: MakeRun) -> None:
    """The local model ends after the web process: without it the reply would fail."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{running.port}", trust_env=False, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {running.token()}"
        conversation = client.post("/api/conversations/", json={}).json()["id"]
        with client.stream(
            "POST",
            f"/api/conversations/{conversation}/messages/",
            json={"content": QUESTION},
            headers={"Accept": "text/event-stream"},
        ) as stream:
            lines = stream.iter_lines()
            assert any(line == "event: delta" for line in lines), running.log
            os.kill(running.pid, signal.SIGINT)
            for _ in lines:
                pass
    assert running.process is not None
    assert running.process.wait(timeout=60) == 0, running.log
    assert re.findall(r"(web|model) stopped", running.log) == ["web", "model"]
    with closing(sqlite3.connect(running.folder / "chat.sqlite3")) as database:
        ((status, length),) = database.execute(
            "SELECT status, length(content) FROM conversations_message WHERE role = 'assistant'"
        )
    assert status in ("interrupted", "complete")
    assert length > 0
