"""The server: listening, in a thread of a test's process or in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future

from tests.provider import tokens
from tests.provider.bill import Bill
from tests.provider.connection import Connection, Request
from tests.provider.desk import Desk
from tests.provider.script import Script
from tests.provider.waiting import Waiting


@contextlib.asynccontextmanager
async def listening(desk: Desk, port: int) -> AsyncIterator[int]:
    """Serve on 127.0.0.1; gives the port, which is any free one for 0. At the end all connections are dropped."""
    connections: set[Connection] = set()
    tokens.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(desk.handle, connections), host="127.0.0.1", port=port, backlog=1024
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(connections):
            connection.abort()
        await asyncio.sleep(0)


class ScriptedProvider(Waiting):
    """A provider in a thread of this process, to be used in a `with`.

    `keys`: the API keys that it takes (None: any). All methods may be called from any thread.
    """

    def __init__(self, *, port: int = 0, keys: Iterable[str] | None = None) -> None:
        self.port = port
        self._desk = Desk(keys)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def bill(self) -> Bill:
        """The bill as it stands."""
        return self._desk.bill()

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order in which they came, refused ones included."""
        return list(self._desk.requests)

    def enqueue(self, *scripts: Script) -> None:
        """The next requests get these scripts, one each, whatever they say."""
        self._desk.scripts.queue.extend(scripts)

    def set_default(self, script: Script) -> None:
        """What answers when nothing is enqueued and the message holds no script."""
        self._desk.scripts.default = script

    def reset(self) -> None:
        """Forget scripts, requests and bill, and let through what is held."""
        self._on_loop(self._desk.reset)

    def release(self) -> None:
        """Let go on what a script holds or stalls just now."""
        self._on_loop(self._desk.gate.open)

    def start(self) -> None:
        """Listen; after a `stop`, again on the same port. RuntimeError where it already does."""
        if self._thread is not None:
            raise RuntimeError("The scripted provider is running already.")
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="scripted-provider", daemon=True)
        self._thread.start()
        self.port = ready.result(timeout=30)

    def stop(self) -> None:
        """Drop all connections and listen no more: new ones are refused. The bill stays readable."""
        if self._thread is None or self._loop is None or self._ending is None:
            return
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> ScriptedProvider:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, ready: Future[int]) -> None:
        async def serve() -> None:
            self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
            async with listening(self._desk, self.port) as port:
                ready.set_result(port)
                await self._ending.wait()

        try:
            asyncio.run(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    def _on_loop(self, act: Callable[[], None]) -> None:
        """Run something on the provider's own loop, and wait until it has run."""
        done: Future[None] = Future()

        def run() -> None:
            act()
            done.set_result(None)

        assert self._loop is not None, "The scripted provider has not been started."
        self._loop.call_soon_threadsafe(run)
        done.result(timeout=30)
