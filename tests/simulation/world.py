"""What a simulation runs against: stores that keep what they were told, web processes, a worker, a provider."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from deploy.cluster.product import Web, Worker
from deploy.cluster.stores import PostgreSQL, Redis
from deploy.processes import ROOT, Service
from tests.provider.remote import ProviderProcess

SLOW_LEASE_SECONDS = 15.0  # the product's own, which outlasts a store that is away for ten seconds


class KeepingRedis(Redis):
    """As the cluster's: what it has acknowledged outlives it."""

    def command(self) -> list[str]:
        """With its log of changes on disk; written before it answers, synced every second."""
        command = super().command()
        command[command.index("--appendonly") + 1] = "yes"
        return command


class World:
    """Everything, as a context manager; `employ` starts the product in it."""

    def __init__(self, *, folder: Path) -> None:
        self.postgresql = PostgreSQL(durable=True)  # what it has committed must outlive its own death
        self.redis = KeepingRedis()
        self.provider = ProviderProcess()
        self.folder = folder
        self.webs: list[Web] = []
        self.workers: list[Worker] = []

    def __enter__(self) -> Self:
        self.postgresql.start()
        self.redis.start()
        self.provider.__enter__()
        os.environ.update(self.environment())
        manage("migrate")
        manage("sync_prices")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(*self.services())
        self.provider.__exit__(kind, error, trace)

    def employ(self, *, webs: int, lease: float) -> None:
        """Let the product run, as so many web processes and two workers, in the place of what ran before.

        Each worker has a beat, though there should be one: whatever two of them do must be done once.
        """
        self._end(*self.webs, *self.workers)
        env = {**os.environ, "CHAT_LEASE_SECONDS": str(lease)}
        self.webs = [Web(number, env) for number in range(webs)]
        self.workers = [Worker(env) for _ in range(2)]
        for service in (*self.webs, *self.workers):
            service.launch()
        for service in (*self.webs, *self.workers):
            service.wait_ready()

    def _end(self, *services: Service) -> None:
        for service in services:
            self.resume(service)
            service.kill()
            service.close()

    def environment(self) -> dict[str, str]:
        """What the product's processes see."""
        return {
            "DJANGO_SETTINGS_MODULE": "chatproject.settings",
            "DATABASE_URL": self.postgresql.url(),
            "REDIS_URL": self.redis.url,
            "VAR_DIR": str(self.folder),
            "SECRET_KEY": "a key for simulations only, which therefore need not be secret, but must be long",
            "OPENAI_BASE_URL": self.provider.base_url,
            "OPENAI_API_KEY": "sk-simulated",
            "CHAT_PROVIDER_TIMEOUT": "3",
            "CHAT_REPLIES_AT_ONCE": "50",
            "CHAT_RATE": "100000/m",
            "CHAT_RATE_IP": "100000/m",
            "CHAT_TITLES": "false",
        }

    def services(self) -> list[Service]:
        """All that can be killed, the product first."""
        return [*self.webs, *self.workers, self.redis, self.postgresql]

    def addresses(self) -> list[str]:
        """The web processes."""
        return [web.url for web in self.webs]

    def flush_redis(self) -> None:
        """Make Redis forget everything, at once."""
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()

    @staticmethod
    def pause(service: Service) -> None:
        """Stop it where it stands, as a virtual machine that is moved."""
        if service.running:
            os.killpg(service.pid, signal.SIGSTOP)

    @staticmethod
    def resume(service: Service) -> None:
        """Let it go on."""
        if service.running:
            os.killpg(service.pid, signal.SIGCONT)


def manage(*command: str) -> str:
    """Run one of manage.py's commands; its output. CalledProcessError where it fails."""
    done = subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout
