"""`make cluster`: everything on one machine, ended by one signal, and put up again where a process dies."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from deploy.local.run import free_port
from tests.processes import PATIENCE, Service
from tests.provider import Script, ScriptedProvider

pytestmark = pytest.mark.once("embedded")

NAMES = {"postgresql", "redis", "web 1", "web 2", "worker", "beat", "nginx"}


class Cluster(Service):
    """The command with the scripted provider."""

    name, stop_seconds = "cluster", 60

    def __init__(self, provider: ScriptedProvider) -> None:
        super().__init__()
        self._provider = provider
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "deploy.cluster", "--throw-away"]

    def environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        own = {"PORT": str(self.port), "OPENAI_BASE_URL": self._provider.base_url, "OPENAI_API_KEY": "sk-cluster"}
        return env | own

    def ready(self) -> bool:
        return "Ctrl-C ends it all" in self.log

    def wait_for(self, said: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(said, self.log, re.MULTILINE):
            assert self.running, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        return {name: int(pid) for name, pid in re.findall(r"^  (\w+(?: \d)?) +pid (\d+)", self.log, re.MULTILINE)}

    def sign_in(self) -> httpx2.Client:
        (password,) = re.findall(r"^user@example\.com +password (\S+)", self.log, re.MULTILINE)
        client = httpx2.Client(base_url=self.url, trust_env=False, timeout=30, follow_redirects=True)
        client.get("/accounts/login/")
        form = {"login": "user@example.com", "password": password}
        form["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
        assert client.post("/accounts/login/", data=form, headers={"Referer": self.url}).status_code == 200
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        return client


@pytest.fixture(scope="module")
def cluster(provider_server: ScriptedProvider) -> Iterator[Cluster]:
    with Cluster(provider_server) as running:
        yield running


def test_it_runs_and_answers(cluster: Cluster, provider: ScriptedProvider) -> None:
    assert cluster.pids().keys() == NAMES
    provider.enqueue(Script(text="From two web processes"))
    client = cluster.sign_in()
    conversation = client.post("/api/conversations/", json={}).json()["id"]
    answer = client.post(f"/api/conversations/{conversation}/messages/", json={"content": "Hello"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["message"]["content"] == "From two web processes"
    assert client.get("/readyz").json() == {"database": True, "cache": True, "broker": True}


def test_a_process_that_is_killed_is_started_again(cluster: Cluster) -> None:
    for name in ("web 1", "redis"):
        pid = cluster.pids()[name]
        os.kill(pid, signal.SIGKILL)
        cluster.wait_for(rf"^{name} runs again, pid \d+")
        assert f"{name}, pid {pid}, was ended by SIGKILL." in cluster.log
    assert httpx2.get(f"{cluster.url}/readyz", trust_env=False).status_code == 200


def test_one_signal_ends_everything(cluster: Cluster) -> None:
    children = [int(pid) for pid in re.findall(r"pid (\d+)", cluster.log)]
    os.kill(cluster.pid, signal.SIGINT)
    assert cluster.process is not None
    assert cluster.process.wait(timeout=60) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
