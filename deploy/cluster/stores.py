"""What the processes of the product share: PostgreSQL and Redis, from Debian's packages, in folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis

from deploy.local import debian
from deploy.local.run import free_port
from deploy.processes import Service

LONGEST_SOCKET = 107 - len("/.s.PGSQL.5432")  # bytes, by the kernel's struct sockaddr_un


class PostgreSQL(Service):
    """A PostgreSQL in its folder, reached through a socket file there.

    In a folder that is kept it writes as safely as any; in a temporary one nothing is kept safe,
    unless `durable` says so.
    """

    name = "postgresql"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients
    USER = "chat"

    def __init__(self, folder: Path | None = None, *, durable: bool | None = None) -> None:
        super().__init__(folder)
        programs = debian.postgresql_programs()
        if programs is None:
            raise RuntimeError("PostgreSQL is not installed.")
        if len(os.fsencode(self.folder)) > LONGEST_SOCKET:
            raise RuntimeError(f"{self.folder} is too long a path for PostgreSQL's socket file.")
        self.programs = programs
        self.durable = self.kept if durable is None else durable
        self.folder.chmod(0o700)
        if os.geteuid() == 0:  # it refuses to run as root
            self.run_as = "postgres"
            shutil.chown(self.folder, user="postgres", group="postgres")

    def start(self) -> None:
        """Make the cluster where there is none, start it, and make the database `chat`."""
        if not (self.folder / "data" / "PG_VERSION").exists():
            initdb = [str(self.programs / "initdb"), "--pgdata", str(self.folder / "data"), "--username", self.USER]
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
        """No TCP port: only who may read the folder gets in."""
        options = ["listen_addresses=", "max_connections=200"]
        if not self.durable:
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
    """A Redis on a free port. In a folder that is kept, what it has acknowledged outlives it.

    That is the logs of running replies, whose text would be lost where Redis and a reply's writer end together.
    """

    name = "redis"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """In the foreground; every change is written to its log before it answers, where that is kept."""
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        kept = ["--save", "", "--appendonly", "yes" if self.kept else "no", "--dir", str(self.folder)]
        return ["redis-server", *address, *kept]

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False
