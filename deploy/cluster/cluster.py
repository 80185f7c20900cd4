"""The whole deployment as one thing: stores, web processes, worker, beat and nginx, started and ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from deploy.cluster.product import Beat, Web, Worker
from deploy.cluster.proxy import Nginx
from deploy.cluster.stores import PostgreSQL, Redis
from deploy.processes import ROOT, Service

QUIET = {"PYTHONWARNINGS": "ignore:You're running the worker"}  # as root, in a container


class Cluster:
    """PostgreSQL, Redis, some web processes, a worker, beat, and nginx on `port`, as a context manager.

    `env` is what the product's processes see beside the stores' addresses. Without a folder all is
    thrown away at the end; with one the database and the logs stay there.
    """

    def __init__(self, *, port: int, env: Mapping[str, str], webs: int = 2, folder: Path | None = None) -> None:
        self.folder = folder
        self.postgresql = PostgreSQL(self._folder("postgresql"))
        self.redis = Redis(self._folder("redis"))
        self.env = {
            **os.environ,
            **QUIET,
            **env,
            "DATABASE_URL": self.postgresql.url(),
            "REDIS_URL": self.redis.url,
            "TRUSTED_PROXIES": "1",
        }
        self.webs = [Web(number, self.env, self._folder(f"web-{number}")) for number in range(1, webs + 1)]
        self.worker = Worker(self.env, beat=False, folder=self._folder("worker"))
        self.beat = Beat(self.env, self._folder("beat"))
        self.nginx = Nginx(port, [web.port for web in self.webs])

    @property
    def services(self) -> list[Service]:
        """All processes, those first that others need."""
        return [self.postgresql, self.redis, *self.webs, self.worker, self.beat, self.nginx]

    def start(self) -> None:
        """Start all; RuntimeError, with its last lines, where one does not come up."""
        self.postgresql.start()
        self.redis.start()
        self.prepare()
        product: list[Service] = [*self.webs, self.worker, self.beat]
        for service in product:
            service.launch()
        for service in product:
            service.wait_ready()
        self.nginx.start()

    def prepare(self) -> None:
        """Migrate, collect static files, sync prices, make the demo users; RuntimeError where that fails."""
        prepare = [sys.executable, "-m", "deploy.local.prepare"]
        if subprocess.run(prepare, cwd=ROOT, env=self.env, check=False).returncode:
            raise RuntimeError("The database could not be prepared; see the lines above.")

    def ended(self) -> list[Service]:
        """Processes that were started and are gone."""
        return [service for service in self.services if service.process is not None and not service.running]

    def close(self) -> None:
        """End all: the web processes first and together, so that they finish their replies while all else is there."""
        for service in (*self.webs, self.worker, self.beat):
            service.ask_to_stop()
        for service in (*self.webs, *reversed(self.services)):
            service.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _folder(self, name: str) -> Path | None:
        return self.folder / name if self.folder else None


def how_it_ended(service: Service) -> str:
    """In words: `was ended by SIGKILL`, `ended with status 1`."""
    status = service.process.returncode if service.process else 0
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
