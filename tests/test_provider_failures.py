"""The product's side of the provider's wire, where it refuses, is silent, breaks off or is left."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from conversations import keys
from conversations import provider as product
from conversations.provider import (
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    Stream,
)
from tests import road
from tests.provider import Script, ScriptedProvider
from tests.provider.client import only_row
from tests.upstream import answer, failure, request

pytestmark = pytest.mark.once("embedded")


@pytest.fixture
def upstream(settings: Any, provider: ScriptedProvider) -> ScriptedProvider:
    """The provider, with nothing tried twice."""
    settings.OPENAI_BASE_URL = provider.base_url
    settings.CHAT_PROVIDER_RETRIES = 0
    settings.CHAT_PROVIDER_TIMEOUT = 5
    return provider


# Refusals


@pytest.mark.parametrize(
    ("script", "kind", "code", "status", "details"),
    [
        ({"status": 400}, ProviderRejected, "provider_rejected", 400, {}),
        ({"status": 400, "error_code": "content_policy_violation"}, ProviderRejected, "provider_rejected", 400, {}),
        ({"status": 400, "error_code": "context_length_exceeded"}, ProviderRejected, "provider_rejected", 400, {}),
        ({"status": 401}, ProviderUnavailable, "provider_unavailable", 503, {}),
        ({"status": 403}, ProviderUnavailable, "provider_unavailable", 503, {}),
        ({"status": 404}, ProviderUnavailable, "provider_unavailable", 503, {}),
        ({"status": 408}, ProviderTimeout, "provider_timeout", 504, {}),
        ({"status": 409}, ProviderRejected, "provider_rejected", 400, {}),
        ({"status": 413}, ProviderRejected, "provider_rejected", 400, {}),
        ({"status": 422}, ProviderRejected, "provider_rejected", 400, {}),
        ({"status": 429}, ProviderBusy, "provider_busy", 429, {"retry_after": 5}),
        ({"status": 429, "retry_after": "17"}, ProviderBusy, "provider_busy", 429, {"retry_after": 17}),
        ({"status": 429, "retry_after": "0.2"}, ProviderBusy, "provider_busy", 429, {"retry_after": 1}),
        ({"status": 429, "retry_after": "soon"}, ProviderBusy, "provider_busy", 429, {"retry_after": 5}),
        ({"status": 429, "retry_after": "inf"}, ProviderBusy, "provider_busy", 429, {"retry_after": 5}),
        ({"status": 429, "retry_after": "-9"}, ProviderBusy, "provider_busy", 429, {"retry_after": 1}),
        ({"status": 429, "retry_after": "9999999"}, ProviderBusy, "provider_busy", 429, {"retry_after": 3600}),
        ({"status": 429, "error_code": "insufficient_quota"}, ProviderUnavailable, "provider_unavailable", 503, {}),
        ({"status": 500}, ProviderError, "provider_error", 502, {}),
        ({"status": 502, "html": True}, ProviderError, "provider_error", 502, {}),
        ({"status": 503}, ProviderError, "provider_error", 502, {}),
        ({"status": 504}, ProviderError, "provider_error", 502, {}),
        ({"status": 529}, ProviderError, "provider_error", 502, {}),
    ],
    ids=str,
)
def test_a_refusal_is_ours_by_its_status_and_cost_nothing(
    upstream: ScriptedProvider, script: dict[str, Any], kind: type[ProviderError], code: str, status: int,
    details: dict[str, Any],
) -> None:  # fmt: skip
    upstream.enqueue(Script(**script))
    text, error = failure()

    row = only_row(upstream)
    assert type(error) is kind
    assert (text, error.code, error.status, error.details) == ("", code, status, details)
    assert error.billed is False
    assert row.cost == 0
    assert error.request_id == row.request_id
    assert error.message.endswith(".")


def test_no_key_and_no_text_is_logged(upstream: ScriptedProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="conversations")
    for script in (Script(status=401), Script(status=400, error_message="You said Hello there with sk-tests-only")):
        upstream.enqueue(script)
        failure()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("conversations")]
    assert any(upstream.bill.rows[0].request_id in line for line in ours)
    assert any(keys.fingerprint() in line for line in ours), "the operators are told which key was refused"
    assert not any("sk-tests" in line or "Hello" in line for line in ours)


# Trying again


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_may_be_tried_again_is(upstream: ScriptedProvider, settings: Any, status: int) -> None:
    settings.CHAT_PROVIDER_RETRIES = 3
    upstream.enqueue(Script(text="Hello", status=status, fail_times=2, retry_after="0.05"))
    assert answer()[0] == "Hello"
    rows = upstream.wait_idle().rows
    assert [(row.status, row.attempt) for row in rows] == [(status, 0), (status, 1), (200, 2)]


def test_no_sooner_than_the_provider_asks(upstream: ScriptedProvider, settings: Any) -> None:
    settings.CHAT_PROVIDER_RETRIES = 1
    upstream.enqueue(Script(text="Hello", status=429, fail_times=1, retry_after="1.2"))
    answer()
    first, second = upstream.wait_idle().rows
    assert second.received_at - first.received_at >= 1.2  # of itself, the SDK would wait half a second


def test_no_oftener_than_the_settings_say(upstream: ScriptedProvider, settings: Any) -> None:
    settings.CHAT_PROVIDER_RETRIES = 2
    upstream.enqueue(Script(status=503, retry_after="0.05"))
    _, error = failure()
    assert len(upstream.wait_idle().rows) == 3
    assert error.request_id == upstream.bill.rows[-1].request_id


@pytest.mark.parametrize(
    "script",
    [
        {"status": 400}, {"status": 401}, {"status": 403}, {"status": 404}, {"status": 413}, {"status": 422},
        {"status": 429, "error_code": "insufficient_quota"},
        {"status": 429, "retry_after": "600"},
    ],
    ids=str,
)  # fmt: skip
def test_what_trying_again_cannot_help_is_asked_once(
    upstream: ScriptedProvider, settings: Any, script: dict[str, Any]
) -> None:
    settings.CHAT_PROVIDER_RETRIES = 3
    upstream.enqueue(Script(**script))
    failure()
    assert len(upstream.wait_idle().rows) == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ({"delay_headers": 2}, ProviderTimeout),
        ({"cut_after": -1}, ProviderUnavailable),
        ({"cut_after": -1, "cut": "reset"}, ProviderUnavailable),
    ],
    ids=str,
)
def test_a_request_that_has_left_is_never_sent_again(
    upstream: ScriptedProvider, settings: Any, script: dict[str, Any], kind: type[ProviderError]
) -> None:
    settings.CHAT_PROVIDER_RETRIES = 3
    settings.CHAT_PROVIDER_TIMEOUT = 0.5
    upstream.enqueue(Script(**script))
    _, error = failure()
    assert type(error) is kind
    assert error.billed, "the provider may be at work on it"
    assert len(upstream.wait_idle().rows) == 1


def test_a_provider_that_is_not_there_was_never_asked(upstream: ScriptedProvider, settings: Any) -> None:
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    _, error = failure()
    assert type(error) is ProviderUnavailable
    assert error.billed is False


def test_a_provider_that_comes_back_in_time_answers(settings: Any) -> None:
    settings.CHAT_PROVIDER_RETRIES = 5
    with ScriptedProvider() as late:
        settings.OPENAI_BASE_URL = late.base_url
        late.stop()
        coming = threading.Timer(0.3, late.start)
        coming.start()
        text, _ = answer()
        coming.join()
        assert text.startswith("You said: Hello there")
        assert len(late.bill.rows) == 1


# Broken off


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ({"cut_after": 3, "cut": "end"}, ProviderError),
        ({"cut_after": 3, "cut": "close"}, ProviderError),
        ({"cut_after": 3, "cut": "reset"}, ProviderError),
        ({"cut_after": 0, "cut": "close"}, ProviderError),
        ({"stall_after": 3}, ProviderTimeout),
        ({"stall_after": 0}, ProviderTimeout),
        ({"error_event_after": 3}, ProviderError),
        ({"error_event_after": 3, "error_code": "rate_limit_exceeded"}, ProviderError),
        ({"broken_json_after": 3}, ProviderError),
        ({"html": True}, ProviderError),
        ({"finish": False}, ProviderError),
        ({"finish": False, "done": False, "usage_chunk": False}, ProviderError),
    ],
    ids=str,
)
def test_a_stream_that_breaks_off_is_an_error_after_the_text_that_came(
    upstream: ScriptedProvider, settings: Any, script: dict[str, Any], kind: type[ProviderError]
) -> None:
    settings.CHAT_PROVIDER_RETRIES = 3
    settings.CHAT_PROVIDER_TIMEOUT = 0.5
    upstream.enqueue(Script(delta_count=6, seed=1, delay_between=0.002, **script))
    text, error = failure()

    row = only_row(upstream)  # no second request
    assert type(error) is kind
    assert error.billed
    assert error.request_id == row.request_id
    assert row.text.startswith(text)
    if script.get("cut") != "reset" and "broken_json_after" not in script:  # these may have sent more
        assert text == row.text


def test_usage_counts_though_the_end_is_missing(upstream: ScriptedProvider) -> None:
    upstream.enqueue(Script(text="Hello there", finish=False))
    seen: list[Stream] = []

    async def scenario() -> None:
        async with product.stream(request()) as stream:
            seen.append(stream)
            async for _ in stream:
                pass

    with pytest.raises(ProviderError):
        road.run(scenario())
    assert seen[0].usage is not None
    assert seen[0].usage["completion_tokens"] == only_row(upstream).output_tokens


@pytest.mark.parametrize("how", ["break", "raise", "cancel"])
def test_leaving_the_block_closes_the_connection_and_stops_the_bill(upstream: ScriptedProvider, how: str) -> None:
    upstream.enqueue(Script(delta_count=5000, delay_between=0.002))
    came = asyncio.Event()

    async def read() -> None:
        async with product.stream(request(cap=100_000)) as stream:
            count = 0
            async for _ in stream:
                count += 1
                if count < 3:
                    continue
                came.set()
                if how == "raise":
                    raise ZeroDivisionError
                if how == "break":
                    break

    async def scenario() -> None:
        reading = asyncio.create_task(read())
        await came.wait()
        if how == "cancel":
            reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await road.billed(upstream, lambda bill: bill.running == 0)

    road.run(scenario())
    row = only_row(upstream)
    assert row.outcome == "client_closed"
    assert 3 <= row.deltas < 2500
