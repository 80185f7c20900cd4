"""`make cluster`: the scaled deployment on this machine. Ctrl-C, SIGTERM or a closed terminal ends it all.

Whatever process dies is started again, so that `kill -9` of any of them can be tried. The database is
kept in var/cluster; `--throw-away` keeps nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.cluster.cluster import Cluster, how_it_ended
from deploy.cluster.product import LocalModel
from deploy.local import debian
from deploy.local.run import has_provider, local_provider, web_port
from deploy.processes import ROOT, Service


def main() -> int:
    """Start all and watch it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__, allow_abbrev=False)
    parser.add_argument("--throw-away", action="store_true", help="keep nothing")
    parser.add_argument("--webs", type=int, default=2, help="how many web processes")
    options = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(ending, _interrupt)
    debian.require(debian.CLUSTER)
    port = web_port()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder(throw_away=options.throw_away))
        env, others = _provider(stack)
        env["VAR_DIR"] = str(folder)
        cluster = stack.enter_context(Cluster(port=port, env=env, webs=options.webs, folder=folder))
        _announce(cluster, others, seconds=time.monotonic() - started)
        _watch(cluster, others)
    return 0


def _provider(stack: contextlib.ExitStack) -> tuple[dict[str, str], list[Service]]:
    """The variables that name the provider, and the local model's process where there is no other."""
    if has_provider():
        return {}, []
    debian.require(debian.MODEL)
    model = stack.enter_context(LocalModel())
    print(f"There is no OPENAI_API_KEY: a small model on this machine answers, {LocalModel.MODEL}.", flush=True)
    return local_provider(port=model.port), [model]


@contextlib.contextmanager
def _folder(*, throw_away: bool) -> Iterator[Path]:
    """Where the database and the logs lie: var/cluster, or a temporary folder that goes."""
    kept = ROOT / "var" / "cluster"
    kept.mkdir(parents=True, exist_ok=True)
    if not throw_away and not _postgres_reaches(kept):
        print(f"PostgreSQL's user may not enter {kept}, so nothing is kept this time.", flush=True)
        throw_away = True
    if not throw_away:
        yield kept
        return
    folder = Path(tempfile.mkdtemp(prefix="chat-cluster-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_reaches(folder: Path) -> bool:
    """Whether the user as whom PostgreSQL runs may enter a folder; it refuses to run as root."""
    if os.geteuid() != 0:
        return True
    user = pwd.getpwnam("postgres")
    test = ["test", "-x", str(folder)]
    return subprocess.run(test, user=user.pw_uid, group=user.pw_gid, extra_groups=[], check=False).returncode == 0


def _announce(cluster: Cluster, others: list[Service], *, seconds: float) -> None:
    print(f"\nReady after {seconds:.0f} s: http://localhost:{cluster.nginx.port}/\n", flush=True)
    for service in (*cluster.services, *others):
        print(f"  {_called(service):<12} pid {service.pid:<8} {service.folder / 'log'}")
    print("\nCtrl-C ends it all; a process that dies is started again.\n", flush=True)


def _watch(cluster: Cluster, others: list[Service]) -> None:
    """Start again whatever ends, until a signal comes."""
    while True:
        for service in cluster.ended() + [other for other in others if not other.running]:
            print(f"{_called(service)}, pid {service.pid}, {how_it_ended(service)}.", flush=True)
            try:
                service.start()
            except RuntimeError as error:
                print(error, flush=True)
            else:
                print(f"{_called(service)} runs again, pid {service.pid}.", flush=True)
        time.sleep(0.2)


def _called(service: Service) -> str:
    number = getattr(service, "number", None)
    return service.name if number is None else f"{service.name} {number}"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
    except RuntimeError as error:
        sys.exit(str(error))
