"""The product's side of the provider's wire, where all goes well: the official SDK against a scripted server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from openai._models import FinalRequestOptions

from conversations import keys
from conversations import provider as product
from conversations.provider import ProviderRejected, ProviderUnavailable
from conversations.provider.client import Client
from tests import road
from tests.provider import Script, ScriptedProvider
from tests.provider.client import QUESTION, only_row
from tests.upstream import answer, failure, pieces, request

pytestmark = pytest.mark.once("embedded")

UNICODE = "Grüße, 世界! 👩‍👩‍👧‍👦 e\u0301 \U0010ffff\u2028\u0085 end"


@pytest.fixture
def upstream(settings: Any, provider: ScriptedProvider) -> ScriptedProvider:
    """The provider, with nothing tried twice."""
    settings.OPENAI_BASE_URL = provider.base_url
    settings.CHAT_PROVIDER_RETRIES = 0
    settings.CHAT_PROVIDER_TIMEOUT = 5
    return provider


# What is asked, and what comes back


def test_a_call_is_streamed_with_its_usage_and_its_cap(upstream: ScriptedProvider) -> None:
    upstream.enqueue(Script(text=UNICODE))
    text, stream = answer(request(cap=321))

    row = only_row(upstream)
    assert text == row.text == UNICODE
    assert stream.finish_reason == "stop"
    assert stream.request_id == row.request_id
    assert stream.usage is not None
    assert stream.usage["prompt_tokens"] == row.input_tokens
    assert stream.usage["completion_tokens"] == row.output_tokens
    (sent,) = upstream.requests
    assert sent.headers["authorization"] == "Bearer sk-tests-only"
    assert sent.body == {
        "model": "gpt-4o-mini",
        "messages": QUESTION,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 321,
        "temperature": 0.7,
    }


@pytest.mark.parametrize("cleared", [True, False])
def test_a_call_that_is_made_ready_leaves_when_it_is_cleared_and_not_before(
    upstream: ScriptedProvider, cleared: bool
) -> None:
    upstream.enqueue(Script(text="Hello"))

    async def scenario() -> list[str]:
        departure = product.Departure(cleared=asyncio.Event())
        call = asyncio.create_task(pieces(departure=departure))
        await asyncio.sleep(0.3)  # it would be there by now
        assert (upstream.requests, departure.left) == ([], False)
        assert departure.cleared is not None
        if cleared:
            departure.cleared.set()
        else:
            call.cancel()
        with suppress(asyncio.CancelledError):
            found, _ = await call
            assert departure.left
            return found
        assert not departure.left
        return []

    assert "".join(road.run(scenario())) == ("Hello" if cleared else "")
    assert len(upstream.requests) == cleared


def test_a_call_that_is_given_up_before_there_is_a_connection_has_not_left(
    upstream: ScriptedProvider, settings: Any
) -> None:
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        with suppress(TimeoutError):  # whoever comes when its queue is full is not answered
            while True:
                stack.enter_context(socket.create_connection(deaf.getsockname(), timeout=0.2))
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"

        async def scenario() -> bool:
            departure = product.Departure()
            call = asyncio.create_task(pieces(departure=departure))
            await asyncio.sleep(0.3)
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call
            return departure.left

        assert not road.run(scenario())


@pytest.mark.parametrize(
    "wire",
    [
        {"split_utf8": True},
        {"split_every": 7},
        {"split_at": (1, 5, 6, -2, -1)},
        {"newline": "\r\n"},
        {"newline": "\r"},
        {"newline": "\r\n", "split_at": (-3, -2, -1)},
        {"newline": "\r", "split_at": (-1,)},
        {"data_space": False},
        {"comments": True},
        {"frames_per_write": 4},
        {"escape_unicode": True},
        {"role_chunk": False},
        {"empty_choices_after": 0},
        {"empty_choices_after": 2},
        {"done": False},
    ],
    ids=str,
)
def test_however_the_bytes_come_the_text_is_whole(upstream: ScriptedProvider, wire: dict[str, Any]) -> None:
    upstream.enqueue(Script(text=UNICODE, **{"split_pause": 0.0005} | wire))
    text, stream = answer()
    assert text == UNICODE == only_row(upstream).text
    assert stream.finish_reason == "stop"
    assert stream.usage is not None


@pytest.mark.parametrize("escape", [True, False])
def test_a_character_that_comes_in_two_halves_is_put_together(upstream: ScriptedProvider, escape: bool) -> None:
    upstream.enqueue(Script(deltas=("so \ud83d", "\ude00 and ", "\ud83d", "\ude01"), escape_unicode=escape))
    found, _ = road.run(pieces())
    assert "".join(found) == "so 😀 and 😁" == only_row(upstream).text
    for piece in found:
        piece.encode()  # no piece holds half a character


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        (("a\x00b", "\x00", "c"), "abc"),
        (("half \ud83d", " gone"), "half \ufffd gone"),
        (("at the end \ud83d",), "at the end "),
    ],
)
def test_what_no_database_stores_is_left_out(upstream: ScriptedProvider, deltas: tuple[str, ...], text: str) -> None:
    upstream.enqueue(Script(deltas=deltas))
    assert answer()[0] == text


def test_usage_that_never_comes_is_none(upstream: ScriptedProvider) -> None:
    upstream.enqueue(Script(text="Hello", usage_chunk=False))
    text, stream = answer()
    assert (text, stream.usage, stream.finish_reason) == ("Hello", None, "stop")


@pytest.mark.parametrize(
    ("usage", "kept"),
    [
        ("none", None),
        (17, None),
        ([1], None),
        ({}, {}),
        ({"prompt_tokens": -5, "completion_tokens": "x"}, {"prompt_tokens": -5, "completion_tokens": "x"}),
        ({"note": "a\x00b"}, None),
    ],
)
def test_a_hostile_usage_breaks_nothing(upstream: ScriptedProvider, usage: Any, kept: Any) -> None:
    upstream.enqueue(Script(text="Hello", usage_replace=usage))
    text, stream = answer()
    assert (text, stream.usage) == ("Hello", kept)


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls", "a\x00" + "b" * 100])
def test_the_reason_why_it_ended_is_kept(upstream: ScriptedProvider, reason: str) -> None:
    upstream.enqueue(Script(text="Hello", finish_reason=reason))
    assert answer()[1].finish_reason == reason.replace("\x00", "")[:40]


def test_a_request_id_is_kept_no_longer_than_it_can_be_stored(upstream: ScriptedProvider) -> None:
    upstream.enqueue(Script(text="Hello", headers={"x-request-id": "r" * 500}))
    assert answer()[1].request_id == "r" * 200


# What a model takes


def test_a_model_that_refuses_parameters_gets_what_it_takes_and_is_asked_right_from_then_on(
    upstream: ScriptedProvider,
) -> None:
    wanted = request(model="o4-mini-learned", cap=50)
    assert answer(wanted)[0]
    bodies = [sent.body for sent in upstream.requests]
    assert [("max_tokens" in body, "temperature" in body) for body in bodies] == [
        (True, True), (False, True), (False, False),
    ]  # fmt: skip
    assert bodies[-1]["max_completion_tokens"] == 50
    assert len(upstream.wait_idle().charged) == 1

    assert answer(wanted)[0]
    assert len(upstream.requests) == 4, "the second call asks right at once"
    assert upstream.requests[-1].body["max_completion_tokens"] == 50
    assert "temperature" not in upstream.requests[-1].body


def test_a_model_that_is_known_to_take_no_temperature_is_asked_right_at_once(upstream: ScriptedProvider) -> None:
    assert answer(request(model="o4-mini-known", takes_temperature=False, cap=50))[0]
    (sent,) = upstream.requests
    assert sent.body["max_completion_tokens"] == 50
    assert not {"temperature", "max_tokens"} & set(sent.body)


def test_what_one_model_refuses_another_still_gets(upstream: ScriptedProvider) -> None:
    upstream.enqueue(Script(text="Hello", refuse_parameters=("temperature",)))
    answer(request(model="plain-a"))
    answer(request(model="plain-b"))
    assert ["temperature" in sent.body for sent in upstream.requests] == [True, False, True]


def test_a_refusal_of_another_parameter_is_final(upstream: ScriptedProvider) -> None:
    upstream.enqueue(Script(status=400, error_code="unsupported_parameter", error_param="stream_options"))
    assert type(failure()[1]) is ProviderRejected
    assert len(upstream.requests) == 1


# How it is asked


def test_every_request_is_as_the_sdk_would_have_made_it(
    upstream: ScriptedProvider, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with another key, with a longer body, and when it is sent again."""
    settings.CHAT_PROVIDER_RETRIES = 1
    settings.OPENAI_API_KEY_FILE = str(tmp_path / "key")

    async def scenario() -> None:
        for key in ("sk-first", "sk-second", "sk-first"):
            (tmp_path / "key").write_text(key)
            for cap in (1, 4321):
                upstream.enqueue(Script(text="Hello", status=503, fail_times=1, retry_after="0.05"))
                await pieces(request(cap=cap))

    road.run(scenario())
    ours = list(upstream.requests)
    monkeypatch.delattr(Client, "_build_request")
    road.run(scenario())
    theirs = upstream.requests[len(ours) :]
    assert len(ours) == len(theirs) == 12
    for one, other in zip(ours, theirs, strict=True):
        assert one.body == other.body
        assert one.headers | {"content-length": ""} == other.headers | {"content-length": ""}
    assert {sent.headers["x-stainless-retry-count"] for sent in ours} == {"0", "1"}


def test_a_request_has_the_key_that_it_was_given(upstream: ScriptedProvider) -> None:
    """Another call may have read another one from the file since."""

    async def scenario() -> list[str]:
        client = Client(api_key="sk-newest", base_url=upstream.base_url)
        asked = [
            FinalRequestOptions.construct(
                method="post", url="/chat/completions", json_data={}, headers={"Authorization": f"Bearer {key}"}
            )
            for key in ("sk-first", "sk-second", "sk-first")
        ]
        return [client._build_request(options).headers["authorization"] for options in asked]

    assert road.run(scenario()) == ["Bearer sk-first", "Bearer sk-second", "Bearer sk-first"]


# The key


def test_a_key_file_is_read_anew_for_each_call(upstream: ScriptedProvider, settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "key"
    settings.OPENAI_API_KEY_FILE = str(file)
    fingerprints: list[str] = []

    async def scenario() -> None:
        for key in ("sk-first\n", "\ufeffsk-second"):
            file.write_text(key)
            await pieces()
            fingerprints.append(keys.fingerprint())

    road.run(scenario())
    assert [sent.headers["authorization"] for sent in upstream.requests] == ["Bearer sk-first", "Bearer sk-second"]
    assert len(set(fingerprints)) == 2
    assert all(len(mark) == 12 and "sk" not in mark for mark in fingerprints)


@pytest.mark.parametrize("content", [b"sk-one\nsk-two", "schlüssel".encode(), b"\xff\xfes\x00k\x00"])
def test_with_a_file_that_holds_no_key_nothing_is_asked(
    upstream: ScriptedProvider, settings: Any, tmp_path: Path, content: bytes
) -> None:
    """It could not even be sent; what fails before it leaves costs nothing."""
    settings.OPENAI_API_KEY, settings.OPENAI_API_KEY_FILE = "", str(tmp_path / "key")
    (tmp_path / "key").write_bytes(content)
    _, error = failure()
    assert (type(error), error.billed) == (ProviderUnavailable, False)
    assert upstream.requests == []


def test_without_a_key_nothing_is_asked(upstream: ScriptedProvider, settings: Any) -> None:
    settings.OPENAI_API_KEY = ""
    _, error = failure()
    assert (type(error), error.billed) == (ProviderUnavailable, False)
    assert upstream.requests == []
