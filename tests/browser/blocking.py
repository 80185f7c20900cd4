"""A way to a server on which no WebSocket comes through, as behind some companies' proxies."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 65536


@contextmanager
def without_sockets(port: int) -> Iterator[str]:
    """The address of a proxy before `port` that closes every connection which asks to become a WebSocket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, port), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _accept(listening: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_serve, args=(client, port), daemon=True).start()


def _serve(client: socket.socket, port: int) -> None:
    with client, contextlib.suppress(OSError):
        head = client.recv(CHUNK)
        if not head or b"upgrade: websocket" in head.lower():
            return
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(head)
            threading.Thread(target=_pass, args=(client, server), daemon=True).start()
            _pass(server, client)


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(CHUNK):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
