"""One call of the product's side of the provider's wire, and what comes of it."""

from __future__ import annotations

import pytest

from conversations import provider as product
from conversations.provider import ProviderError, Request, Stream
from tests import road
from tests.provider.client import QUESTION


def request(*, model: str = "gpt-4o-mini", takes_temperature: bool = True, cap: int = 500) -> Request:
    return Request(model=model, messages=QUESTION, output_cap=cap, takes_temperature=takes_temperature)


async def pieces(wanted: Request | None = None, departure: product.Departure | None = None) -> tuple[list[str], Stream]:
    """What one call brings."""
    async with product.stream(wanted or request(), departure) as stream:
        return [text async for text in stream], stream


def answer(wanted: Request | None = None) -> tuple[str, Stream]:
    found, stream = road.run(pieces(wanted))
    return "".join(found), stream


def failure(wanted: Request | None = None) -> tuple[str, ProviderError]:
    """The text that came, and the error that ended it."""
    found: list[str] = []

    async def scenario() -> None:
        async with product.stream(wanted or request()) as stream:
            async for text in stream:
                found.append(text)  # noqa: PERF401  (what came before the error is kept)

    with pytest.raises(ProviderError) as raised:
        road.run(scenario())
    return "".join(found), raised.value
