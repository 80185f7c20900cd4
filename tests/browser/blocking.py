"""Ways to a server on which WebSockets fare badly, as behind some companies' proxies; all else passes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHUNK = 65536


def refused(client: socket.socket, head: bytes, port: int) -> None:
    """What asks to become a WebSocket is closed."""


def unanswered(client: socket.socket, head: bytes, port: int) -> None:
    """It stays open, and nothing ever answers."""
    while client.recv(CHUNK):
        pass


def cut(client: socket.socket, head: bytes, port: int) -> None:
    """It becomes one, and is closed at once."""
    with socket.create_connection(("127.0.0.1", port)) as server:
        server.sendall(head)
        client.sendall(server.recv(CHUNK))


class Way:
    """A proxy before a server: its address, and when each WebSocket was asked for, by path."""

    def __init__(self, port: int, listening: socket.socket, fate: Callable[[socket.socket, bytes, int], None]) -> None:
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.asked: list[tuple[str, float]] = []
        self._port, self._listening, self._fate = port, listening, fate
        threading.Thread(target=self._accept, daemon=True).start()

    def times(self, path: str) -> list[float]:
        """When those were asked for whose path begins like this."""
        return [at for asked, at in self.asked if asked.startswith(path)]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = client.recv(CHUNK)
            if b"upgrade: websocket" in head.lower():
                self.asked.append((head.split(b" ", 2)[1].decode(), time.monotonic()))
                self._fate(client, head, self._port)
            elif head:
                self._through(client, head)

    def _through(self, client: socket.socket, head: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            server.sendall(head)
            threading.Thread(target=_pass, args=(client, server), daemon=True).start()
            _pass(server, client)


@contextmanager
def where_sockets_are(fate: Callable[[socket.socket, bytes, int], None], port: int) -> Iterator[Way]:
    """A way to `port` on which every WebSocket meets that fate."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Way(port, listening, fate)


@contextmanager
def without_sockets(port: int) -> Iterator[str]:
    """The address of a proxy before `port` that closes every connection which asks to become a WebSocket."""
    with where_sockets_are(refused, port) as way:
        yield way.address


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(CHUNK):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
