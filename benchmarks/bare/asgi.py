"""A bare relay: Channels, Daphne and the SDK, from one WebSocket to the provider and back. Nothing is stored or billed.

`daphne benchmarks.bare.asgi:application`, with OPENAI_BASE_URL and OPENAI_API_KEY set.
"""

import asyncio
import json
from typing import Any

from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="nothing is signed")

import django  # noqa: E402

django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402
from openai import AsyncOpenAI  # noqa: E402

client = AsyncOpenAI(max_retries=0)


class Relay(AsyncWebsocketConsumer):
    """One socket; each text that comes is a question."""

    async def connect(self) -> None:
        """Accept anyone."""
        self.tasks: set[asyncio.Task[None]] = set()
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer it in a task of its own."""
        task = asyncio.create_task(self.answer(json.loads(text_data or "")["content"]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self, content: str) -> None:
        """Pass the answer on, a frame for each delta."""
        end = 0
        async with await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": content}],
            stream=True,
            max_tokens=4000,
            stream_options={"include_usage": True},
        ) as stream:
            async for chunk in stream:
                text = chunk.choices[0].delta.content if chunk.choices else None
                if text:
                    await self._send("delta", start=end, end=end + len(text), content=text)
                    end += len(text)
        await self._send("done")

    async def _send(self, kind: str, **fields: Any) -> None:
        await self.send(json.dumps({"type": kind, **fields}))


async def healthy(scope: Any, receive: Any, send: Any) -> None:
    """Any page: it is up."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


application = ProtocolTypeRouter({"http": healthy, "websocket": URLRouter([re_path(".*", Relay.as_asgi())])})
