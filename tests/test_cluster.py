"""`make cluster`: everything on one machine, ended by one signal, and put up again where a process dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from deploy.local.run import free_port
from tests.processes import ROOT, dying_with_parent
from tests.provider import Script, ScriptedProvider

pytestmark = pytest.mark.once("embedded")

NAMES = {"postgresql", "redis", "web 1", "web 2", "worker", "beat", "nginx"}


class Running:
    """The command, and what it says."""

    def __init__(self, provider: ScriptedProvider, output: Path) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.output = output
        env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        env |= {"PORT": str(port), "OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "sk-cluster"}
        command = [sys.executable, "-m", "deploy.cluster", "--throw-away"]
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [*dying_with_parent(signal.SIGTERM), *command], cwd=ROOT, env=env, stdout=file, stderr=file
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_until(self, true: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        return {name: int(pid) for name, pid in re.findall(r"^  (\w+(?: \d)?) +pid (\d+)", self.said, re.MULTILINE)}

    def sign_in(self) -> httpx2.Client:
        (password,) = re.findall(r"^user@example\.com +password (\S+)", self.said, re.MULTILINE)
        client = httpx2.Client(base_url=self.url, trust_env=False, timeout=30, follow_redirects=True)
        client.get("/accounts/login/")
        form = {"login": "user@example.com", "password": password}
        form["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
        assert client.post("/accounts/login/", data=form, headers={"Referer": self.url}).status_code == 200
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        return client


@pytest.fixture(scope="module")
def cluster(provider_server: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(provider_server, tmp_path_factory.mktemp("cluster") / "output")
    try:
        running.wait_until(lambda: "Ctrl-C ends it all" in running.said)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(timeout=60)


def test_it_runs_and_answers(cluster: Running, provider: ScriptedProvider) -> None:
    assert cluster.pids().keys() == NAMES
    provider.enqueue(Script(text="From two web processes"))
    client = cluster.sign_in()
    conversation = client.post("/api/conversations/", json={}).json()["id"]
    answer = client.post(f"/api/conversations/{conversation}/messages/", json={"content": "Hello"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["message"]["content"] == "From two web processes"
    assert client.get("/readyz").json() == {"database": True, "cache": True, "broker": True}


def test_a_process_that_is_killed_is_started_again(cluster: Running) -> None:
    for name in ("web 1", "redis"):
        pid = cluster.pids()[name]
        os.kill(pid, signal.SIGKILL)
        cluster.wait_until(lambda name=name: re.search(rf"^{name} runs again, pid \d+", cluster.said, re.MULTILINE))
        assert f"{name}, pid {pid}, was ended by SIGKILL." in cluster.said
    assert httpx2.get(f"{cluster.url}/readyz", trust_env=False).status_code == 200


def test_one_signal_ends_everything(cluster: Running) -> None:
    children = [int(pid) for pid in re.findall(r"pid (\d+)", cluster.said)]
    os.kill(cluster.process.pid, signal.SIGINT)
    assert cluster.process.wait(timeout=60) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
