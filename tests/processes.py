"""A process that a test starts: ready when it says so, ended by its own id, gone when the test run is.

Even if the test run is killed outright: the kernel sends the process a signal when the *thread* that
started it ends, so start services on the main thread (fixtures are).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0


def dying_with_parent(signum: signal.Signals) -> list[str]:
    """What to put before a command so that it gets a signal when the thread that started it ends."""
    return ["setpriv", "--pdeathsig", signum.name.removeprefix("SIG"), "--"]


class Service:
    """A process of its own with its output in a file; a context manager that starts and stops it.

    `folder` is its temporary folder; it goes, with all that the process left there, at the end of `with`.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    run_as: str | None = None

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"chat-{self.name}-"))
        self.process: subprocess.Popen[bytes] | None = None
        self._last_words = ""

    def command(self) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The variables that the process sees."""
        return os.environ

    def ready(self) -> bool:
        """Whether it does its work yet; asked again and again until it does."""
        raise NotImplementedError

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

    def start(self) -> None:
        """Start it and wait until it is ready; RuntimeError with its last lines where it does not become so."""
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
        deadline = time.monotonic() + PATIENCE
        while not self.ready():
            if not self.running or time.monotonic() > deadline:
                log = self.log[-3000:]
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to end, and wait; after 20 seconds it is killed. Safe to repeat."""
        if not self.running or self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(timeout=20)
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
        """Stop it and remove its folder; its log stays readable."""
        self.stop()
        self._last_words = self.log
        shutil.rmtree(self.folder, ignore_errors=True)
