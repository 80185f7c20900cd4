"""The scripted provider's streams: how they go wrong, their bytes, and many at once."""

import asyncio
import http.client
import json
import socket
import time
from decimal import Decimal
from typing import Any, Literal

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.provider import ProviderProcess, Script, ScriptedProvider
from tests.provider.client import QUESTION, ask, only_row, stream, streamed, with_client
from tests.provider.frames import pieces

pytestmark = pytest.mark.once("embedded")

# Streams that go wrong


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_a_cut_connection(provider: ScriptedProvider, cut: Literal["close", "reset"]) -> None:
    with pytest.raises(openai.APIConnectionError):
        stream(provider, Script(text="One two three", cut_after=2, cut=cut, delay_between=0.01))
    row = only_row(provider)
    assert (row.outcome, row.text, row.output_tokens) == ("cut", "One two", 2)


def test_no_answer_at_all(provider: ScriptedProvider) -> None:
    with pytest.raises(openai.APIConnectionError):
        stream(provider, Script(cut_after=-1))
    assert only_row(provider).status == 0
    assert only_row(provider).cost == 0


@pytest.mark.parametrize(
    ("script", "text", "finish"),
    [
        (Script(text="One two three", cut_after=1, cut="end"), "One", None),
        (Script(text="One two", done=False), "One two", "stop"),
        (Script(text="One two", finish=False), "One two", None),
        (Script(text="One two", role_chunk=False, empty_choices_after=1), "One two", "stop"),
        (Script(text="One two", finish_reason="content_filter"), "One two", "content_filter"),
        (Script(html=True), "", None),
    ],
)
def test_what_ends_without_an_error(provider: ScriptedProvider, script: Script, text: str, finish: str | None) -> None:
    seen = stream(provider, script)
    assert "".join(seen["deltas"]) == text
    assert seen["finish"] == finish


def test_half_a_character_a_delta(provider: ScriptedProvider) -> None:
    assert stream(provider, Script(deltas=("\ud83d", "\ude00")))["deltas"] == ["\ud83d", "\ude00"]
    assert only_row(provider).text == "😀"


def test_an_error_in_mid_stream(provider: ScriptedProvider) -> None:
    with pytest.raises(openai.APIError) as raised:
        stream(provider, Script(text="One two", error_event_after=1))
    assert raised.type is openai.APIError
    assert only_row(provider).text == "One"


def test_broken_json(provider: ScriptedProvider) -> None:
    with pytest.raises(json.JSONDecodeError):
        stream(provider, Script(broken_json_after=1))


def test_a_gateways_page(provider: ScriptedProvider) -> None:
    with pytest.raises(openai.InternalServerError):
        stream(provider, Script(html=True, status=502))


def test_silence_times_out(provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One two", stall_after=1))
    with pytest.raises(openai.APITimeoutError):
        with_client(provider, streamed, timeout=httpx2.Timeout(5, read=0.2))
    assert (only_row(provider).outcome, only_row(provider).text) == ("client_closed", "One")


def test_held_until_released(provider: ScriptedProvider) -> None:
    async def run(client: AsyncOpenAI) -> Any:
        task = asyncio.create_task(streamed(client))
        bill = await asyncio.to_thread(provider.wait_until, lambda bill: bill.waiting == 1)
        assert bill.rows[0].text == "One"
        assert not task.done()
        provider.release()
        return (await task)["deltas"]

    provider.enqueue(Script(text="One two", hold_after=1))
    assert with_client(provider, run) == ["One", " two"]


def test_a_closed_client_ends_generation_at_once(provider: ScriptedProvider) -> None:
    async def run(client: AsyncOpenAI) -> float:
        arguments: dict[str, Any] = {"model": "gpt-4o-mini", "messages": QUESTION, "stream": True}
        async with await client.chat.completions.create(**arguments) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content == " w7":
                    break
        return time.monotonic()

    provider.enqueue(Script(deltas=tuple(f" w{number}" for number in range(100)), delay_between=0.01))
    closed_at = with_client(provider, run)
    row = only_row(provider)
    assert row.outcome == "client_closed"
    assert 8 <= row.deltas < 50
    assert row.output_tokens < 160
    assert row.client_closed_at is not None
    assert row.client_closed_at - closed_at < 0.1
    assert row.cost < Decimal("0.0001")
    assert row.first_delta_at
    assert row.first_delta_at > row.received_at


# Bytes


def test_reset_is_a_reset_and_close_is_not(provider: ScriptedProvider) -> None:
    body = json.dumps({"model": "gpt-4o-mini", "messages": QUESTION, "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n"
    provider.enqueue(Script(cut_after=0, cut="close"), Script(cut_after=-1, cut="reset"))
    with socket.create_connection(("127.0.0.1", provider.port)) as client:
        client.sendall(head % len(body) + body)
        assert b"[DONE]" not in b"".join(iter(lambda: client.recv(65536), b""))
    with socket.create_connection(("127.0.0.1", provider.port)) as client:
        client.sendall(head % len(body) + body)
        with pytest.raises(ConnectionResetError):
            client.recv(65536)


def raw_stream(provider: ScriptedProvider, script: Script) -> bytes:
    """The body of a stream, as it is."""
    provider.enqueue(script)
    connection = http.client.HTTPConnection("127.0.0.1", provider.port)
    body = json.dumps({"model": "gpt-4o-mini", "messages": QUESTION, "stream": True})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer sk-test"})
    data = connection.getresponse().read()
    connection.close()
    return data


@pytest.mark.parametrize(
    "script",
    [
        Script(text="Grüße 😀 日本", split_every=1, split_pause=0),
        Script(text="Grüße 😀 日本", split_utf8=True),
        Script(text="Grüße 😀 日本", split_at=(3, -1), newline="\r\n"),
        Script(text="Grüße 😀 日本", frames_per_write=4, comments=True),
        Script(text="Grüße 😀 日本", data_space=False, escape_unicode=True, newline="\r"),
    ],
)
def test_bytes_in_any_pieces_are_the_same_reply(provider: ScriptedProvider, script: Script) -> None:
    assert "".join(stream(provider, script)["deltas"]) == "Grüße 😀 日本"


def test_where_frames_are_cut() -> None:
    frame = "data: ü😀\n\n".encode()
    assert list(pieces(frame, Script(split_at=(2, -1)))) == [b"da", frame[2:-1], b"\n"]
    assert list(pieces(frame, Script(split_every=9))) == [frame[:9], frame[9:]]
    assert list(pieces(frame, Script(split_utf8=True)))[1:4] == [b"\xbc\xf0", b"\x9f", b"\x98"]


def test_line_ends_and_frames(provider: ScriptedProvider) -> None:
    data = raw_stream(provider, Script(text="Grüße", newline="\r\n"))
    assert data.endswith(b"data: [DONE]\r\n\r\n")
    assert "Grüße".encode() in data
    assert b"Gr\\u00fc" in raw_stream(provider, Script(text="Grüße", escape_unicode=True))


# In a process of its own


def test_a_process_of_its_own_has_the_same_methods() -> None:
    with ProviderProcess() as provider:
        provider.set_default(Script(text="default"))
        assert stream(provider, Script(text="One two"))["deltas"] == ["One", " two"]
        assert stream(provider)["deltas"] == ["default"]
        bill = provider.wait_idle()
        assert [row.text for row in bill.rows] == ["One two", "default"]
        assert bill.total == Decimal("0.0000045")
        assert [item.body["model"] for item in provider.requests] == ["gpt-4o-mini"] * 2
        provider.reset()
        assert provider.bill.rows == []
    with pytest.raises(openai.APIConnectionError):
        with_client(provider, ask())


def test_stopped_and_started_again_on_the_same_port() -> None:
    with ScriptedProvider() as provider:
        provider.stop()
        with pytest.raises(openai.APIConnectionError):
            with_client(provider, ask())
        provider.start()
        assert with_client(provider, ask()).choices


def test_two_hundred_streams_at_once(provider: ScriptedProvider) -> None:
    async def run(client: AsyncOpenAI) -> set[str]:
        seen = await asyncio.gather(*(streamed(client) for _ in range(200)))
        return {"".join(item["deltas"]) for item in seen}

    provider.set_default(Script(delta_count=20, delay_between=0.005))
    (text,) = with_client(provider, run)
    bill = provider.wait_idle()
    assert len(bill.rows) == 200
    assert {row.text for row in bill.rows} == {text}
    assert bill.total == sum(row.cost for row in bill.rows) == 200 * bill.rows[0].cost
