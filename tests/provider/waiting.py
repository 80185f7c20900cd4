"""Waiting for the provider, the same in this process and beside it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from tests.provider.bill import Bill


class Waiting(ABC):
    """Something with a bill that moves."""

    @property
    @abstractmethod
    def bill(self) -> Bill:
        """The bill as it stands."""

    def wait_until(self, true: Callable[[Bill], bool], *, timeout: float = 30) -> Bill:
        """The bill once something is true of it; TimeoutError after `timeout` seconds.

        It sleeps in this thread: in a coroutine, call it through `asyncio.to_thread`.
        """
        until = time.monotonic() + timeout
        while True:
            begun = time.monotonic()
            bill = self.bill
            if true(bill):
                return bill
            if time.monotonic() > until:
                raise TimeoutError(f"the bill is still {bill}")
            time.sleep(max(0.005, 3 * (time.monotonic() - begun)))  # a long bill is work for the provider too

    def wait_idle(self, *, timeout: float = 30) -> Bill:
        """The bill once no request is being answered."""
        return self.wait_until(lambda bill: bill.running == 0, timeout=timeout)
