"""Django's PostgreSQL backend, but that a pooled connection is checked by its socket; named by `ENGINE`.

Django has the pool ask the server with each visit whether a connection lives still: a round trip before any work.
A server that restarts, or ends a connection, says so on the socket, so to look there is enough.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL; of those that the pool keeps, one that its server has not ended."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection for this visit."""
        while True:
            connection = super().get_new_connection(conn_params)
            if not (self.pool and _ended(connection)):
                return connection
            connection.close()
            self.pool.putconn(connection)  # which replaces it


def _ended(connection: Any) -> bool:
    """Whether the server has hung up: nothing else of it can be waiting on a connection that nobody uses."""
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    return bool(socket.poll(0))
