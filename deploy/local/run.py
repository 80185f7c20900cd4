"""What `make run` does once the packages are there: prepare, start every process, say the address.

Ctrl-C, SIGTERM or a closed terminal ends them all.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from honcho.environ import parse_procfile
from honcho.manager import Manager

from deploy.local import debian, model

ROOT = Path(__file__).resolve().parents[2]
# Any of these says that the operator has a provider of their own.
PROVIDER = ("OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "OPENAI_BASE_URL")
PATIENCE = 90.0
END_SECONDS = 5.0  # of the web process, from when it is asked to end
KILL_SECONDS = 15.0  # of all, from then: a worker without Redis takes some five seconds to see that it is to end
WEB, MODEL = "web", "model"  # as the Procfile calls them


def has_provider() -> bool:
    """Whether the environment names a provider, so that the local model is not wanted."""
    return any(os.environ.get(name) for name in PROVIDER)


def local_provider(*, port: int) -> dict[str, str]:
    """The variables that point the product at the local model; nothing else differs from OpenAI's."""
    no_proxy = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1"]))
    return {
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "MODEL_PORT": str(port),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "OPENAI_API_KEY": "local",
        "CHAT_MODEL_FAST": model.NAME,
        "CHAT_MODEL_SMART": model.NAME,
    }


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def web_port() -> int:
    """The port from PORT; exits with a sentence where it is no port or is taken."""
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        sys.exit(f"PORT is {text!r}: it must be a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except PermissionError:
            sys.exit(f"Port {text} may be used by root only. Choose another: make run PORT=8001")
        except OSError:
            sys.exit(f"Port {text} is taken by another program. End that one, or choose another: make run PORT=8001")
    return int(text)


def answers(url: str) -> bool:
    """Whether a GET is answered with a 2xx within a second; a proxy that the environment names is not asked."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=1) as response:
            return 200 <= int(response.status) < 300
    except (urllib.error.URLError, OSError):
        return False


def announce(*, address: str, probes: list[str], started: float) -> None:
    """Wait until every probe answers, then print the address; say so where that takes too long."""
    deadline = time.monotonic() + PATIENCE
    waiting = list(probes)
    while waiting and time.monotonic() < deadline:
        waiting = [url for url in waiting if not answers(url)]
        if waiting:
            time.sleep(0.1)
    if waiting:
        print(f"\nNo answer from {' and '.join(waiting)} after {PATIENCE:.0f} s; see the lines above.\n", flush=True)
    else:
        seconds = time.monotonic() - started
        print(f"\nReady after {seconds:.0f} s: {address}", flush=True)
        print("Sign in as one of the people above. Ctrl-C ends it.\n", flush=True)


class Supervisor(Manager):
    """honcho's manager, which also says when the product is usable, and ends the local model last."""

    def __init__(self, **announcement: Any) -> None:
        super().__init__()
        self.announcement = announcement
        self._patient_until = 0.0

    def _start(self) -> None:
        super()._start()
        # Only now: a thread that runs while the manager forks could leave a lock held in its children.
        threading.Thread(target=announce, kwargs=self.announcement, daemon=True).start()

    def terminate(self) -> None:
        """Ask all to end, in a thread, as the manager meanwhile hears what they say. Safe to repeat."""
        if not self._terminating:
            self._terminating = True
            self._patient_until = time.monotonic() + KILL_SECONDS
            threading.Thread(target=self._end, daemon=True).start()

    def kill(self) -> None:
        """The manager calls this from five seconds after the first has ended."""
        if time.monotonic() > self._patient_until:
            super().kill()

    def _end(self) -> None:
        """First those that use the model: the web process may have replies to finish with it."""
        self._wait(self._all_started)  # one that has no pid yet would be missed
        self._ask([name for name in self._processes if name != MODEL])
        self._wait(lambda: self._processes[WEB].get("returncode") is not None)
        self._ask([name for name in self._processes if name == MODEL])

    def _ask(self, names: list[str]) -> None:
        for process in map(self._processes.__getitem__, names):
            if "pid" in process and "returncode" not in process:
                self._procmgr.terminate(process["pid"])

    @staticmethod
    def _wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + END_SECONDS
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)


def claim(folder: Path) -> IO[str]:
    """Let no other `make run` use a folder while the file that this returns is open; exits where one does already.

    Two would prepare one database at the same time, and then have two beats.
    """
    another = "or choose another folder for this: make run VAR_DIR=/path/to/another"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "run.lock").open("a+")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = (folder / "run.lock").read_text()
        sys.exit(f"Another `make run`, process {pid}, uses {folder}. End that one, {another}")
    except OSError as error:
        sys.exit(f"Nothing can be kept in {folder}: {error.strerror}. Mend that, {another}")
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def main() -> int:
    """Prepare and run; returns the exit status: 0 after Ctrl-C, else that of the first process to end."""
    started = time.monotonic()
    port = web_port()
    _claimed = claim(Path(os.environ.get("VAR_DIR") or ROOT / "var"))
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PORT": str(port), "PATH": f"{bin_folder}:{os.environ.get('PATH', '')}"}
    environment["PYTHONUNBUFFERED"] = "1"
    environment.setdefault("CHAT_DRAIN_SECONDS", "3")  # whoever presses Ctrl-C waits for it
    environment.setdefault("PYTHONWARNINGS", "ignore:You're running the worker")  # as root, in a container
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    probes = [f"http://127.0.0.1:{port}/healthz"]
    if has_provider():
        del processes[MODEL]
    else:
        debian.require(debian.MODEL)
        environment |= local_provider(port=free_port())
        probes.append(f"http://127.0.0.1:{environment['MODEL_PORT']}/health")
        print(f"There is no OPENAI_API_KEY: a small model on this machine answers, {model.NAME}.", flush=True)

    prepared = subprocess.run([sys.executable, "-m", "deploy.local.prepare"], cwd=ROOT, env=environment, check=False)
    if prepared.returncode:
        return prepared.returncode

    manager = Supervisor(address=f"http://localhost:{port}/", probes=probes, started=started)
    for name, command in processes.items():
        manager.add_process(name, command, env=environment, cwd=str(ROOT))
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    return 0 if manager.returncode in (130, 143) else int(manager.returncode or 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
