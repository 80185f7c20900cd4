"""The official SDK as tests use it against the scripted provider."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from openai import AsyncOpenAI

from tests.provider.bill import Row
from tests.provider.remote import RemoteProvider
from tests.provider.script import Script
from tests.provider.server import ScriptedProvider

QUESTION = [{"role": "user", "content": "Hello there"}]  # 3 for the message, 1 role, 2 words, 3 for the answer
QUESTION_TOKENS = 9


def with_client(provider: ScriptedProvider | RemoteProvider, act: Callable[[AsyncOpenAI], Any], **options: Any) -> Any:
    """What an action with a client gives. `options` are the client's; it does not retry unless told."""

    async def run() -> Any:
        options.setdefault("max_retries", 0)
        options.setdefault("timeout", 20)
        async with AsyncOpenAI(api_key="sk-test", base_url=provider.base_url, **options) as client:
            return await act(client)

    return asyncio.run(run())


async def streamed(client: AsyncOpenAI, **options: Any) -> dict[str, Any]:
    """Everything that a stream brings: its `deltas`, `finish` reason, `usage`; raises what the SDK raises."""
    seen: dict[str, Any] = {"deltas": [], "finish": None, "usage": None}
    options = {"model": "gpt-4o-mini", "messages": QUESTION, "stream_options": {"include_usage": True}} | options
    async with await client.chat.completions.create(stream=True, **options) as stream:
        async for chunk in stream:
            seen["usage"] = chunk.usage or seen["usage"]
            for choice in chunk.choices:
                seen["deltas"] += [choice.delta.content] if choice.delta.content else []
                seen["finish"] = choice.finish_reason or seen["finish"]
    return seen


def stream(provider: ScriptedProvider | RemoteProvider, script: Script | None = None, **options: Any) -> dict[str, Any]:
    """Everything that one stream brings, by the script if one is given."""
    if script is not None:
        provider.enqueue(script)
    seen: dict[str, Any] = with_client(provider, lambda client: streamed(client, **options))
    return seen


def ask(**options: Any) -> Callable[[AsyncOpenAI], Coroutine[Any, Any, Any]]:
    """The action of asking without a stream."""
    options = {"model": "gpt-4o-mini", "messages": QUESTION} | options
    return lambda client: client.chat.completions.create(**options)


def only_row(provider: ScriptedProvider) -> Row:
    """The bill's one row, once the request has ended; ValueError where there are more."""
    (row,) = provider.wait_idle().rows
    return row
