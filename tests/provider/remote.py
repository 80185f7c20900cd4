"""A provider in another process, with the same methods as one in this process."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.provider.bill import Bill, Row
from tests.provider.connection import Request
from tests.provider.script import Script
from tests.provider.waiting import Waiting

_ROOT = Path(__file__).resolve().parents[2]
# Never through a proxy that the environment names: it is on this machine.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RemoteProvider(Waiting):
    """One that already listens at `base_url`."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    @property
    def bill(self) -> Bill:
        """The bill as it stands."""
        return Bill([Row.from_json(row) for row in self._control("GET", "bill")["rows"]])

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order in which they came, refused ones included."""
        return [Request(**{**item, "content": item["content"].encode()}) for item in self._control("GET", "requests")]

    def enqueue(self, *scripts: Script) -> None:
        """The next requests get these scripts, one each, whatever they say."""
        self._control("POST", "enqueue", [script.to_json() for script in scripts])

    def set_default(self, script: Script) -> None:
        """What answers when nothing is enqueued and the message holds no script."""
        self._control("POST", "default", script.to_json())

    def reset(self) -> None:
        """Forget scripts, requests and bill, and let through what is held."""
        self._control("POST", "reset")

    def release(self) -> None:
        """Let go on what a script holds or stalls just now."""
        self._control("POST", "release")

    def _control(self, method: str, command: str, body: object = None) -> Any:
        url = f"{self.base_url.removesuffix('/v1')}/_control/{command}"
        data = json.dumps(body).encode() if method == "POST" else None
        with _direct.open(urllib.request.Request(url, data=data, method=method), timeout=30) as response:
            return json.load(response)


class ProviderProcess(RemoteProvider):
    """One in a process of its own, to be used in a `with`. `keys`: the API keys that it takes (None: any)."""

    def __init__(self, *, port: int = 0, keys: Iterable[str] | None = None) -> None:
        super().__init__("")
        self._command = [sys.executable, "-m", "tests.provider", "--port", str(port)]
        for key in keys or ():
            self._command += ["--key", key]

    def __enter__(self) -> ProviderProcess:
        self._process = subprocess.Popen(self._command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError("The scripted provider did not start.")
        self.base_url = line.removeprefix("listening on ").strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)
