"""Calls: one client, its key, one streamed call at a time.

The SDK makes the request (key, retries, typed errors); the stream is read as server-sent events, without
building the SDK's object for each chunk, which would cost more than all the rest of a delta.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from conversations import keys
from conversations.provider.chunks import Chunks
from conversations.provider.client import Client
from conversations.provider.failures import ProviderError, ProviderUnavailable, request_id_of, translated
from conversations.provider.paced import PacedTransport
from conversations.provider.sse import EventData

DONE = b"[DONE]"  # the data of the last event
LAST_SECONDS = 0.02  # for the end of the body after the last event


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call: what is sent, and what the model takes."""

    model: str
    messages: list[dict[str, str]]
    output_cap: int
    takes_temperature: bool


class Stream:
    """A call's answer as it comes: iterate over its pieces of text; the rest is known at the end."""

    def __init__(self, response: httpx2.Response) -> None:
        self.request_id = request_id_of(response.headers)
        self._response = response
        self._chunks = Chunks()

    @property
    def finish_reason(self) -> str:
        """Why the provider ended; empty before."""
        return self._chunks.finish_reason

    @property
    def usage(self) -> dict[str, Any] | None:
        """What the provider counted, as it came; None before."""
        return self._chunks.usage

    async def __aiter__(self) -> AsyncIterator[str]:
        """Pieces of text, of one or more events each. Raises ProviderError where the stream is cut, silent, broken or
        unfinished, after the text that came before.
        """
        events, pieces = EventData(), aiter(self._response.aiter_bytes())
        while True:
            texts: list[str] = []
            failed: ProviderError | None = None
            done = False
            try:
                with translated(self.request_id):
                    piece = await anext(pieces, None)
                    for data in events.finish() if piece is None else events.feed(piece):
                        if done := data == DONE:
                            break
                        texts.append(self._chunks.take(data))
            except ProviderError as error:
                failed = error
            if text := "".join(texts):
                yield text
            if failed is not None:
                raise failed
            if done:
                await _finish(pieces)
            if done or piece is None:
                break
        if not self.finish_reason:
            raise ProviderError(
                _("The provider's answer ended before it was finished. Try again."), request_id=self.request_id
            )


async def _finish(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the last event, the end of the body: a connection that is read to its end serves again.

    The answer is whole already, so nothing that happens here matters to it.
    """
    with suppress(TimeoutError, httpx2.TransportError):
        async with asyncio.timeout(LAST_SECONDS):
            async for _piece in pieces:
                pass


@dataclass(slots=True)
class Departure:
    """Where a call is. `left`: the provider may work on it, and bill it; not before there is a connection on which a
    request leaves, and no more once that one was refused, while the SDK waits to send it again.

    `cleared`: where given, the call is made ready, and nothing of it leaves before this is set.
    """

    left: bool = False
    cleared: asyncio.Event | None = None


@asynccontextmanager
async def stream(request: Request, departure: Departure | None = None) -> AsyncIterator[Stream]:
    """Make the call; leaving the block, in whatever way, closes the upstream connection. Raises ProviderError.

    `departure` is kept up to date meanwhile, for whoever may cancel this.
    """
    async with AsyncExitStack() as stack:
        with translated(""), _followed(departure or Departure()):
            response = await _open(request, stack)
        yield Stream(response)


_departure: ContextVar[Departure] = ContextVar("departure")  # of the call that this task makes


@contextmanager
def _followed(departure: Departure) -> Iterator[None]:
    token = _departure.set(departure)
    try:
        yield
    finally:
        _departure.reset(token)


def _leaves() -> None:
    _departure.get().left = True


class _SentOnce(PacedTransport):
    """Lets the SDK retry only what was certainly not begun.

    Once a request has left, silence or a cut says nothing of whether the provider works on it, and
    bills it: to send it again could cost twice what was held. The SDK passes its own errors on
    without a retry.
    """

    def __init__(self) -> None:
        super().__init__(leaving=_leaves)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        departure = _departure.get()
        if departure.cleared is not None:
            await departure.cleared.wait()
        try:
            response = await super().handle_async_request(request)
            departure.left = response.status_code < 400
            if response.status_code == 429 and b"insufficient_quota" in await response.aread():
                response.headers["x-should-retry"] = "false"  # the SDK obeys it; waiting brings no credit
            return response
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise  # it never left, so the SDK may try again
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except httpx2.TransportError as error:
            raise openai.APIConnectionError(request=request) from error


_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = weakref.WeakKeyDictionary()
_refused_parameters: dict[str, frozenset[str]] = {}  # by model, learned from its own 400s


async def _current_key() -> str:
    return keys.current()


def _client() -> Client:
    """The one client of this event loop."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        timeout = httpx2.Timeout(settings.CHAT_PROVIDER_TIMEOUT, connect=min(5.0, settings.CHAT_PROVIDER_TIMEOUT))
        client = _clients[loop] = Client(
            api_key=_current_key,
            base_url=settings.OPENAI_BASE_URL,
            max_retries=settings.CHAT_PROVIDER_RETRIES,
            timeout=timeout,
            http_client=httpx2.AsyncClient(transport=_SentOnce(), timeout=timeout),
        )
    return client


async def _open(request: Request, stack: AsyncExitStack) -> httpx2.Response:
    """Start the call; where the model refuses a parameter, once more with what it takes."""
    if not keys.current():
        raise ProviderUnavailable(_("No provider key is set, so nothing can be answered."), billed=False)
    refused = _refused_parameters.get(request.model, frozenset())
    if not request.takes_temperature:
        refused |= {"temperature", "max_tokens"}
    while True:
        try:
            answer = await stack.enter_async_context(await _create(request, refused))
        except openai.BadRequestError as error:
            parameter = str(error.param)
            if parameter not in {"temperature", "max_tokens"} or parameter in refused:
                raise
            refused |= {parameter}
            _refused_parameters[request.model] = refused
        else:
            return answer.response


async def _create(request: Request, refused: frozenset[str]) -> openai.AsyncStream[object]:
    """By the SDK's `post`: its `create` holds a body against all its types first, which takes longer than the rest."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": request.messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens" if "max_tokens" in refused else "max_tokens": request.output_cap,
    }
    if "temperature" not in refused:
        body["temperature"] = settings.CHAT_TEMPERATURE
    return await _client().post(
        "/chat/completions", body=body, cast_to=object, stream=True, stream_cls=openai.AsyncStream[object]
    )
