"""The real processes that tests talk to: PostgreSQL, Redis, Daphne, Celery and the local model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import quote

import psycopg
import redis

from deploy.local import debian, model
from deploy.local.run import answers, free_port
from tests.processes import Service


class PostgreSQL(Service):
    """A cluster of its own in a temporary folder, reached through a socket file there; nothing is kept safe."""

    name = "postgresql"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients
    USER = "chat"

    def __init__(self) -> None:
        super().__init__()
        programs = debian.postgresql_programs()
        if programs is None:
            raise RuntimeError("PostgreSQL is not installed.")
        self.programs = programs
        if os.geteuid() == 0:  # it refuses to run as root
            self.run_as = "postgres"
            shutil.chown(self.folder, user="postgres", group="postgres")

    def start(self) -> None:
        """Make the cluster, start it, and make the database `chat`."""
        if not (self.folder / "data").exists():
            initdb = [self.programs / "initdb", "--pgdata", self.folder / "data", "--username", self.USER]
            subprocess.run(
                [*initdb, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"],
                user=self.run_as,
                group=self.run_as,
                extra_groups=[] if self.run_as else None,
                cwd=self.folder,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        super().start()
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'chat'").fetchone() is None:
                connection.execute("CREATE DATABASE chat")

    def command(self) -> list[str]:
        """No TCP port; no syncing, since nothing outlives the tests."""
        options = ["listen_addresses=", "max_connections=200"]
        options += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        server = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        return [*server, *(part for option in options for part in ("-c", option))]

    def ready(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str = "chat") -> str:
        """The DATABASE_URL of one of its databases."""
        return f"postgres://{self.USER}@{quote(str(self.folder), safe='')}/{database}"


class Redis(Service):
    """A Redis on a free port that keeps nothing."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """In the foreground, in memory only."""
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        return ["redis-server", *address, "--save", "", "--appendonly", "no", "--dir", str(self.folder)]

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


class Web(Service):
    """Daphne on a free port: the whole product over real sockets. `number` tells several apart."""

    name = "web"

    def __init__(self, number: int, env: Mapping[str, str]) -> None:
        super().__init__()
        self.number = number
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = env

    def command(self) -> list[str]:
        """As the Procfile has it, by this Python."""
        daphne = [sys.executable, "-m", "daphne", "--bind", "127.0.0.1", "--port", str(self.port)]
        return [*daphne, "chatproject.asgi:application"]

    def environment(self) -> Mapping[str, str]:
        """What the test wants it to see."""
        return self._env

    def ready(self) -> bool:
        """Whether its health page answers."""
        return answers(f"{self.url}/healthz")


class Worker(Service):
    """A Celery worker, with beat unless told otherwise."""

    name = "worker"

    def __init__(self, env: Mapping[str, str], *, beat: bool = True) -> None:
        super().__init__()
        self._env = env
        self._beat = beat

    def command(self) -> list[str]:
        """As the Procfile has it; beat's memory goes with the folder."""
        worker = [sys.executable, "-m", "celery", "-A", "chatproject", "worker", "--pool", "solo"]
        beat = ["--beat", "--schedule", str(self.folder / "schedule")] if self._beat else []
        return [*worker, *beat, "--loglevel", "INFO"]

    def environment(self) -> Mapping[str, str]:
        """What the test wants it to see."""
        return self._env

    def ready(self) -> bool:
        """Whether it says that it is."""
        return " ready." in self.log


class LocalModel(Service):
    """The model that `make run` serves where there is no key."""

    name = "model"
    MODEL = model.NAME

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"

    def command(self) -> list[str]:
        """The launcher itself."""
        return [sys.executable, "-m", "deploy.local.model"]

    def environment(self) -> Mapping[str, str]:
        """Its port."""
        return {**os.environ, "MODEL_PORT": str(self.port)}

    def ready(self) -> bool:
        """Whether the model is loaded."""
        return answers(f"http://127.0.0.1:{self.port}/health")
