"""A process that this one starts: ready when it says so, ended by its own id, gone when its starter is.

Even if the starter is killed outright: the kernel sends the process a signal when the *thread* that
started it ends, so start services on the main thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0


def dying_with_parent(signum: signal.Signals) -> list[str]:
    """What to put before a command so that it gets a signal when the thread that started it ends."""
    return ["setpriv", "--pdeathsig", signum.name.removeprefix("SIG"), "--"]


class Service(ABC):
    """A process of its own with its output in a file; a context manager that starts and stops it.

    `folder` holds what the process writes. One that is given stays; without one it is temporary and
    goes, with all that the process left there, at the end of `with`.
    """

    name: ClassVar[str]
    ready_seconds: ClassVar[float] = PATIENCE  # then it is taken for one that does not start
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_seconds: float = 20.0  # then it is killed
    run_as: str | None = None

    def __init__(self, folder: Path | None = None) -> None:
        self.kept = folder is not None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder or Path(tempfile.mkdtemp(prefix=f"chat-{self.name}-"))
        self.process: subprocess.Popen[bytes] | None = None
        self._last_words = ""
        self._begun_at = 0  # where in its log it was last started

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    def environment(self) -> Mapping[str, str]:
        """The variables that the process sees."""
        return os.environ

    @abstractmethod
    def ready(self) -> bool:
        """Whether it does its work yet; asked again and again until it does."""

    @property
    def pid(self) -> int:
        """The process's id; RuntimeError where it was never started."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started.")
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """All that it has printed."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else self._last_words

    @property
    def news(self) -> str:
        """What it has printed since it was last started."""
        return self.log[self._begun_at :]

    def start(self) -> None:
        """Start it and wait until it is ready; RuntimeError with its last lines where it does not become so."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it; others can be launched before it is ready."""
        self._begun_at = len(self.log)
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                [*dying_with_parent(self.stop_signal), *self.command()],
                env={**self.environment(), "PYTHONUNBUFFERED": "1"},
                cwd=self.folder if self.run_as else ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=self.run_as,
                group=self.run_as,
                extra_groups=[] if self.run_as else None,
            )

    def wait_ready(self) -> None:
        """Wait until it is ready; RuntimeError with its last lines where it does not become so."""
        deadline = time.monotonic() + self.ready_seconds
        while not self.ready():
            if not self.running or time.monotonic() > deadline:
                log = self.log[-3000:]
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{log}")
            time.sleep(0.05)

    def ask_to_stop(self) -> None:
        """Send it the signal at which it ends."""
        if self.running and self.process is not None:
            self.process.send_signal(self.stop_signal)

    def stop(self) -> None:
        """Ask it to end, and wait; after `stop_seconds` it is killed. Safe to repeat."""
        if not self.running or self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(timeout=self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, with what it started, as a power cut would. Safe to repeat."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop it and remove its folder, unless that is kept; its log stays readable."""
        self.stop()
        if not self.kept:
            self._last_words = self.log
            shutil.rmtree(self.folder, ignore_errors=True)
