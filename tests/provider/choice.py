"""Which script answers a request.

In this order: the script that an earlier attempt of the same call had; the oldest one enqueued; the
one in the last user message, `{{script: {…fields of Script…}}}`; the default.

Attempts of one call have the same model and messages. The official SDK numbers its retries in the
header x-stainless-retry-count; a client that sends no such header makes another attempt by asking
the same again after a failure. Calls that run at once, fail, and have scripts of their own should
therefore differ in their messages.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from tests.provider.request import ChatRequest
from tests.provider.script import Script


@dataclass(slots=True)
class _Open:
    """A call that has not been answered well yet."""

    script: Script
    attempts: int
    parameter_refused: bool = False


class Scripts:
    """The scripts enqueued, the default, and those of calls that may be tried again."""

    def __init__(self) -> None:
        self.queue: deque[Script] = deque()
        self.default = Script()
        self._open: dict[str, _Open] = {}

    def clear(self) -> None:
        """Forget all of them; the default is an echo again."""
        self.queue.clear()
        self.default = Script()
        self._open.clear()

    def choose(self, request: ChatRequest, headers: Mapping[str, str]) -> tuple[Script, int]:
        """The script that answers, and how many attempts there were before this one."""
        retry = headers.get("x-stainless-retry-count")
        known = self._open.get(request.fingerprint)
        if known is not None and _continues(known, retry):
            attempt = int(retry) if retry and retry != "0" else known.attempts
            script = known.script
        else:
            attempt = int(retry or 0)
            script = self._next(request)
        self._open[request.fingerprint] = _Open(script, attempt + 1)
        if script.fail_times is not None and attempt >= script.fail_times:
            script = script.without_faults()
        return script, attempt

    def parameter_refused(self, request: ChatRequest) -> None:
        """The same script answers when the call comes again without the parameter; this was no attempt."""
        known = self._open[request.fingerprint]
        known.attempts -= 1
        known.parameter_refused = True

    def answered(self, request: ChatRequest) -> None:
        """The call is done: asked again, the same words are a new call."""
        self._open.pop(request.fingerprint, None)

    def _next(self, request: ChatRequest) -> Script:
        if self.queue:
            return self.queue.popleft()
        return request.directive or self.default


def _continues(known: _Open, retry: str | None) -> bool:
    if known.parameter_refused or (retry is not None and retry != "0"):
        return True
    return retry is None and known.script.fail_times is not None
