"""What the machine itself must have beside Python: as root on Debian it is installed, else it is named."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

Check = Callable[[], bool]


def has_library(name: str) -> bool:
    """Whether a shared library such as libgomp.so.1 can be loaded."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def postgresql_programs() -> Path | None:
    """The folder with the newest PostgreSQL's initdb and postgres, which Debian keeps off the PATH."""
    folders = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: float(folder.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def pgbouncer() -> str | None:
    """PgBouncer's program, which Debian keeps off the PATH of plain users."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


def chromium() -> str | None:
    """The browser's program: the one without windows, which starts faster and needs half the work."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def nginx() -> str | None:
    """Nginx's program, which Debian keeps off the PATH of plain users."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


MODEL: Mapping[str, Check] = {
    "libgomp1": lambda: has_library("libgomp.so.1"),
    "libstdc++6": lambda: has_library("libstdc++.so.6"),
}
CLUSTER: Mapping[str, Check] = {
    "postgresql": lambda: postgresql_programs() is not None,
    "redis-server": lambda: shutil.which("redis-server") is not None,
    "nginx": lambda: nginx() is not None,
    "util-linux": lambda: shutil.which("setpriv") is not None,
}
TESTS: Mapping[str, Check] = {
    **MODEL,
    **CLUSTER,
    "gettext": lambda: shutil.which("msgfmt") is not None and shutil.which("xgettext") is not None,
    "pgbouncer": lambda: pgbouncer() is not None,
    "chromium-headless-shell": lambda: chromium() is not None,
}


def missing(packages: Mapping[str, Check]) -> list[str]:
    """The Debian packages among these that the machine lacks."""
    return [name for name, check in packages.items() if not check()]


def require(packages: Mapping[str, Check]) -> None:
    """Install what is missing as root on Debian; elsewhere exit with a sentence that names it."""
    lacking = missing(packages)
    if not lacking:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {', '.join(lacking)} with apt-get.", flush=True)
        _install(lacking)
        lacking = missing(packages)
    if lacking:
        sys.exit(f"This machine lacks {', '.join(lacking)}. Install it with: sudo apt-get install {' '.join(lacking)}")


def _install(packages: list[str]) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "--quiet=2"], install):
        done = subprocess.run(command, env=quiet, check=False, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
