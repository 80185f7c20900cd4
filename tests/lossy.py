"""A wire to PostgreSQL that loses an answer: what was asked has been done, and whoever asked never hears of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit


class LossyWire:
    """Stands between a process and the server whose socket file lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self.lost = threading.Event()
        self._server = str(folder / ".s.PGSQL.5432")
        self._wanted: bytes | None = None
        self._passing: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def lose(self, text: str) -> None:
        """Lose the answer to the next commit that goes along with a statement in which this stands, and hang up."""
        self._wanted = text.encode()

    def serve(self) -> None:
        """Pass on connections until the wire is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                passing = threading.Thread(target=self._pass_on, args=(client,), daemon=True)
                self._passing.append(passing)
                passing.start()

    def close(self) -> None:
        """Take no more connections, and wait until those who had them are gone, and the server's with them."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for passing in self._passing:
            passing.join(timeout=10)

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._server)
            threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
            while data := client.recv(1 << 16):
                if self._wanted and self._wanted in data and b"COMMIT" in data:
                    self._wanted = None
                    client.shutdown(socket.SHUT_RDWR)  # so no answer gets through
                    server.sendall(data)
                    self.lost.set()
                    return self._wait_until_done(server)
                server.sendall(data)
        return None

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)

    def _wait_until_done(self, server: socket.socket) -> None:
        """The server finds that nobody listens only when it has done its work."""
        server.sendall(b"X\0\0\0\4")  # PostgreSQL's word for an orderly end, read when all before it is done
        while server.recv(1 << 16):
            pass


@contextmanager
def lossy(database_url: str) -> Iterator[tuple[LossyWire, str]]:
    """A wire to the server of an address that names its socket's folder, and the address of the wire."""
    address = urlsplit(database_url)
    user, _, folder = address.netloc.rpartition("@")
    wire = LossyWire(Path(unquote(folder)))
    threading.Thread(target=wire.serve, daemon=True).start()
    try:
        yield wire, address._replace(netloc=f"{user}@127.0.0.1:{wire.port}").geturl()
    finally:
        wire.close()
