"""Where replies wait until a test lets them go on."""

import asyncio


class Gate:
    """Closed for whoever comes; opening it lets those through who wait, and closes it behind them."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Wait until it is opened next."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def open(self) -> None:
        """Let all through who wait now; to be called on the event loop."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
