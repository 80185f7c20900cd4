"""PgBouncer in front of a PostgreSQL, as large sites have it: each transaction may get another connection."""

from __future__ import annotations

import os
import shutil
from urllib.parse import unquote, urlsplit

import psycopg

from deploy.local import debian
from deploy.local.run import free_port
from deploy.processes import Service

CONNECTIONS = 4  # to the server, for however many clients

CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
"""


class PgBouncer(Service):
    """A pooler by transaction; `url` is that of the database behind it."""

    name = "pgbouncer"

    def __init__(self, database_url: str) -> None:
        super().__init__()
        program = debian.pgbouncer()
        if program is None:
            raise RuntimeError("PgBouncer is not installed.")
        self.program, self.port = program, free_port()
        behind = urlsplit(database_url)
        self.url = behind._replace(netloc=f"{behind.username}@127.0.0.1:{self.port}").geturl()
        configuration = self.folder / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=unquote(behind.netloc.rpartition("@")[2].partition(":")[0]),
                port=behind.port or 5432,
                user=behind.username,
                own_port=self.port,
                connections=CONNECTIONS,
            )
        )
        if os.geteuid() == 0:  # it refuses to run as root
            self.run_as = "postgres"
            for path in (self.folder, configuration):
                shutil.chown(path, user="postgres", group="postgres")

    def command(self) -> list[str]:
        """In the foreground."""
        return [self.program, str(self.folder / "pgbouncer.ini")]

    def ready(self) -> bool:
        """Whether the database answers through it."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
