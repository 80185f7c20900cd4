"""Event streams: a reply's events as server-sent events.

A stream ends with its reply, or with the session or token that opened it, as sockets do.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from django.http import StreamingHttpResponse
from rest_framework.authentication import get_authorization_header
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from accounts.errors import NotAuthenticated, envelope
from accounts.models import User
from conversations import events, slow_readers
from conversations.events import Event
from conversations.following import follow
from conversations.models import Message
from conversations.visitors import Visitor

KEEP_ALIVE_SECONDS = 15.0  # a comment as often as this keeps proxies from closing a silent stream


class EventStreamRenderer(BaseRenderer):
    """Makes `Accept: text/event-stream` acceptable; the stream itself is no REST framework answer."""

    media_type = "text/event-stream"
    format = "sse"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Nothing: errors are JSON, and streams are written by `event_stream`."""
        return data


def event_stream(
    request: Request,
    message: Message,
    *,
    start: int,
    blocks: int | None = None,
    first: Event | None = None,
    headers: dict[str, str] | None = None,
) -> StreamingHttpResponse:
    """A reply's events from an offset on, with its blocks from `blocks` on, for whoever asks; ends with the reply."""
    visitor = Visitor(authorization=get_authorization_header(request), cookies=request.COOKIES)
    return StreamingHttpResponse(
        _events(message, start, blocks, first, partial(visitor.check, cast(User, request.user))),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})},
    )


async def _events(
    message: Message, start: int, blocks: int | None, first: Event | None, check: Callable[[], Awaitable[None]]
) -> AsyncIterator[bytes]:
    if first is not None:
        yield first.as_sse()
    slow_readers.watch()
    said = time.monotonic()
    async with aclosing(follow(message, start=start, blocks=blocks)) as told:
        async for event in told:
            try:
                await check()
            except NotAuthenticated as refusal:
                yield events.refusal(envelope(refusal)["error"]).as_sse()
                return
            if event is not None:
                yield event.as_sse()
            elif time.monotonic() - said < KEEP_ALIVE_SECONDS - 1:
                continue
            else:
                yield b": still here\n\n"
            said = time.monotonic()
