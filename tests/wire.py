"""A wire to a server that can be cut, lose an answer, or fall silent, as when its host is gone.

Of silence the kernel itself takes care. A filter on each socket drops what comes in before TCP has seen it, so that
whoever is at the other end hears no acknowledgement, no end and no reset, as from a machine whose plug was pulled.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import unquote, urlsplit

ATTACH_FILTER, DETACH_FILTER = 26, 27  # Linux' SO_ATTACH_FILTER and SO_DETACH_FILTER, which Python does not name
TERMINATE = b"X\0\0\0\4"  # PostgreSQL's word for an orderly end; it is read when all before it is done
DROP = struct.pack("HBBI", 0x06, 0, 0, 0)  # a program of one instruction: return 0 bytes of every packet


class Wire:
    """From a free port to a server's address, a port or a socket file; a context manager."""

    def __init__(self, server: int | str) -> None:
        self._server = server
        self._silent = self._is_cut = False
        self._unanswered: bytes | None = None
        self.lost = threading.Event()  # an answer
        self._ends: dict[socket.socket, socket.socket] = {}  # of connections: the one towards who came, and the other
        self._silenced: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up(self._listening, *self._ends, *self._ends.values(), *self._silenced)

    @staticmethod
    def _hang_up(*sockets: socket.socket) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut(self) -> None:
        """From now on who is connected is told that it is over, on either side, and who connects as well."""
        self._is_cut = True
        self._hang_up(*self._ends, *self._ends.values())
        self._ends.clear()

    def mend(self) -> None:
        """The end of `cut`."""
        self._is_cut = False

    def lose_answer(self, to: str) -> None:
        """Cut whoever next has PostgreSQL commit a statement with this in it: it is done, and they never hear of it."""
        self._unanswered = to.encode()

    def fall_silent(self) -> None:
        """From now on nobody hears anything, nor can connect."""
        self._silent = True
        for one in (self._listening, *self._ends):
            _drop_all(one)

    def speak(self) -> None:
        """As if another host had taken the address over: who connects anew is answered, what there was stays silent."""
        self._silent = False
        self._silenced += [*self._ends, *self._ends.values()]
        self._ends.clear()
        self._listening.setsockopt(socket.SOL_SOCKET, DETACH_FILTER, 0)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = self._connect()
                self._ends[near] = far
                for source, goal in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, goal, near), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._server, int):
            return socket.create_connection(("127.0.0.1", self._server))
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._server)
        return far

    def _pump(self, source: socket.socket, goal: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source is near and self._unanswered and self._unanswered in data and b"COMMIT" in data:
                    self._unanswered = None
                    self._hang_up(near)
                    goal.sendall(data + TERMINATE)
                    self.lost.set()
                elif self._lives(near):
                    goal.sendall(data)
        if self._lives(near):
            with suppress(OSError):
                goal.shutdown(socket.SHUT_WR)

    def _lives(self, near: socket.socket) -> bool:
        return not self._silent and near in self._ends


def wire_to_postgresql(url: str) -> tuple[Wire, str]:
    """A wire to a PostgreSQL on a socket file, and the DATABASE_URL through it."""
    behind = urlsplit(url)
    user, _, folder = behind.netloc.rpartition("@")
    wire = Wire(f"{unquote(folder)}/.s.PGSQL.5432")
    return wire, behind._replace(netloc=f"{user}@127.0.0.1:{wire.port}").geturl()


def _drop_all(one: socket.socket) -> None:
    program = ctypes.create_string_buffer(DROP)
    with suppress(OSError):  # closed meanwhile
        one.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))
