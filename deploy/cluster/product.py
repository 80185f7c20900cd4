"""The product's own processes: Daphne, Celery's worker and beat, and the local model."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local import model
from deploy.local.run import answers, free_port
from deploy.processes import Service


class Web(Service):
    """Daphne on a free port: the whole product over real sockets. `number` tells several apart."""

    name = "web"
    stop_seconds = 40.0  # longer than it drains

    def __init__(self, number: int, env: Mapping[str, str], folder: Path | None = None) -> None:
        super().__init__(folder)
        self.number = number
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = env

    def command(self) -> list[str]:
        """As the Procfile has it, by this Python."""
        daphne = [sys.executable, "-m", "daphne", "--bind", "127.0.0.1", "--port", str(self.port)]
        return [*daphne, "chatproject.asgi:application"]

    def environment(self) -> Mapping[str, str]:
        """What its starter wants it to see."""
        return self._env

    def ready(self) -> bool:
        """Whether its health page answers."""
        return answers(f"{self.url}/healthz")


class Worker(Service):
    """A Celery worker, with beat unless told otherwise."""

    name = "worker"

    def __init__(self, env: Mapping[str, str], *, beat: bool = True, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._env = env
        self._beat = beat

    def command(self) -> list[str]:
        """As the Procfile has it; beat's memory goes with the folder."""
        worker = [sys.executable, "-m", "celery", "-A", "chatproject", "worker", "--pool", "solo"]
        beat = ["--beat", "--schedule", str(self.folder / "schedule")] if self._beat else []
        return [*worker, *beat, "--loglevel", "INFO"]

    def environment(self) -> Mapping[str, str]:
        """What its starter wants it to see."""
        return self._env

    def ready(self) -> bool:
        """Whether it says that it is."""
        return " ready." in self.news


class Beat(Service):
    """Celery's clock; there is exactly one."""

    name = "beat"

    def __init__(self, env: Mapping[str, str], folder: Path | None = None) -> None:
        super().__init__(folder)
        self._env = env

    def command(self) -> list[str]:
        """Its memory is in the folder."""
        beat = [sys.executable, "-m", "celery", "-A", "chatproject", "beat", "--loglevel", "INFO"]
        return [*beat, "--schedule", str(self.folder / "schedule"), "--pidfile", ""]

    def environment(self) -> Mapping[str, str]:
        """What its starter wants it to see."""
        return self._env

    def ready(self) -> bool:
        """Whether it says that it is."""
        return "beat: Starting" in self.news


class LocalModel(Service):
    """The model that answers where there is no key."""

    name = "model"
    MODEL = model.NAME

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
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
