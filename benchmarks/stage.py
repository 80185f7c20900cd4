"""All the processes that a benchmark needs, started once for the whole run and ended with it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.cluster.product import Web
from deploy.cluster.stores import PostgreSQL, Redis
from deploy.processes import Service
from tests.provider import ProviderProcess

# Limits that are there for people, not for benchmarks, out of the way; all else as it is shipped.
GENEROUS = {
    "CHAT_RATE": "1000000/m",
    "CHAT_RATE_SMART": "1000000/m",
    "CHAT_RATE_IP": "1000000/m",
    "CHAT_REPLIES_AT_ONCE": "1000",
    "BILLING_DAILY_BUDGET_USD": "100000",
    "BILLING_MONTHLY_BUDGET_USD": "1000000",
    "BILLING_EVERYONE_DAILY_BUDGET_USD": "10000000",
}


class Bare(Web):
    """The bare relay, by the same Daphne."""

    name = "bare"

    def command(self) -> list[str]:
        """Its application in place of the product's."""
        return [*super().command()[:-1], "benchmarks.bare.asgi:application"]


class Stage:
    """The scripted provider, PostgreSQL (durable), Redis, two web processes and the bare relay.

    Sets this process's environment and Django up, so that rows can make users and read the ledger.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def fresh_web(self, service: type[Web] = Web, **env: str) -> contextlib.AbstractContextManager[Web]:
        """One more process, with nothing in it yet."""
        return service(9, {**self.env, **env})

    @property
    def provider_port(self) -> int:
        """Where the provider listens."""
        return int(self.provider.base_url.rsplit(":", 1)[1].removesuffix("/v1"))

    def _start(self) -> None:
        enter = self._stack.enter_context
        var = Path(enter(tempfile.TemporaryDirectory(prefix="chat-bench-")))
        self.provider = enter(ProviderProcess())
        self.postgresql = enter(PostgreSQL(durable=True))
        self.redis = enter(Redis())
        self.env = self._environment(var)
        self._set_up_django()
        self.webs = [Web(number, self.env) for number in (1, 2)]
        self.bare = Bare(3, self.env)
        services: list[Service] = [*self.webs, self.bare]
        for service in services:
            self._stack.callback(service.close)
            service.launch()
        for service in services:
            service.wait_ready()

    def _environment(self, var: Path) -> dict[str, str]:
        inherited: Mapping[str, str] = {
            name: value for name, value in os.environ.items() if not name.startswith(("CHAT_", "BILLING_", "OPENAI_"))
        }
        return {
            **inherited,
            **GENEROUS,
            "VAR_DIR": str(var),
            "SECRET_KEY": "a key for benchmarks only, which therefore need not be secret",
            "DATABASE_URL": self.postgresql.url(),
            "REDIS_URL": self.redis.url,
            "OPENAI_BASE_URL": self.provider.base_url,
            "OPENAI_API_KEY": "sk-bench",
            "CHAT_MAX_OUTPUT_TOKENS": "4000",
            "DJANGO_SETTINGS_MODULE": "chatproject.settings",
            "no_proxy": "127.0.0.1",
        }

    def _set_up_django(self) -> None:
        os.environ.update(self.env)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("sync_prices", stdout=io.StringIO())


def interruptible() -> None:
    """Let SIGTERM end everything in order, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
