"""Event streams: a reply's events as server-sent events."""

import time
from collections.abc import AsyncIterator
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer

from conversations import slow_readers
from conversations.events import Event
from conversations.following import follow
from conversations.models import Message

KEEP_ALIVE_SECONDS = 15.0  # a comment as often as this keeps proxies from closing a silent stream


class EventStreamRenderer(BaseRenderer):
    """Makes `Accept: text/event-stream` acceptable; the stream itself is no REST framework answer."""

    media_type = "text/event-stream"
    format = "sse"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """Nothing: errors are JSON, and streams are written by `event_stream`."""
        return data


def event_stream(
    message: Message,
    *,
    start: int,
    blocks: int | None = None,
    first: Event | None = None,
    headers: dict[str, str] | None = None,
) -> StreamingHttpResponse:
    """A reply's events from an offset on, with its blocks from `blocks` on; ends with the reply."""
    return StreamingHttpResponse(
        _events(message, start, blocks, first),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})},
    )


async def _events(message: Message, start: int, blocks: int | None, first: Event | None) -> AsyncIterator[bytes]:
    if first is not None:
        yield first.as_sse()
    slow_readers.watch()
    said = time.monotonic()
    async for event in follow(message, start=start, blocks=blocks):
        if event is not None:
            yield event.as_sse()
        elif time.monotonic() - said < KEEP_ALIVE_SECONDS - 1:
            continue
        else:
            yield b": still here\n\n"
        said = time.monotonic()
