"""How a reply ends when all does not go well: its status, its text and its cost against the provider's bill."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

import pytest

from billing.models import UsageRecord
from conversations.models import Conversation, Delta, Message
from conversations.pool import in_database
from tests import road
from tests.provider import Row, Script, ScriptedProvider
from tests.provider import tokens as provider_tokens
from tests.provider.client import only_row
from tests.talks import make_conversation
from tests.wire import Wire


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: Any
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    settings.CHAT_PROVIDER_TIMEOUT = 1
    settings.CHAT_PROVIDER_RETRIES = 0
    return make_conversation(alice)


def ended(
    conversation: Conversation, provider: ScriptedProvider, **script: Any
) -> tuple[Message, UsageRecord, Row, list[Any]]:
    """A reply by a script, ended and in balance: message, record, the provider's row, and what a follower was told."""
    provider.enqueue(Script(**script))
    message, events = road.whole(road.ask(conversation))
    record = message.usage_record
    assert road.text(events) == message.content, "what was shown is stored, and what is stored was shown"
    assert road.periods_of(record) == [(record.cost, 0)] * 3
    assert Delta.objects.count() == 0
    assert (message.lease_owner, message.ended_at is None) == (None, False)
    assert road.differences() == []
    return message, record, only_row(provider), events


def check_error(message: Message, events: list[Any], code: str) -> None:
    """The message and its followers tell of the failure alike."""
    assert message.status == "failed"
    assert message.error is not None
    assert message.error["code"] == code
    last = road.data(events[-1])
    assert last["type"] == "error"
    assert last["message_id"] == str(message.pk)
    assert last["error"] == {name: value for name, value in message.error.items() if name != "status"}
    assert last["error"]["message"].endswith(".")


def test_what_fails_before_it_leaves_costs_nothing(
    conversation: Conversation, provider: ScriptedProvider, settings: Any
) -> None:
    """Whatever it is: here a key that no header can hold, which the start would have refused."""
    settings.OPENAI_API_KEY = "schlüssel"
    message, events = road.whole(road.ask(conversation))
    check_error(message, events, "provider_error")
    assert (message.usage_record.state, message.usage_record.cost) == ("released", 0)
    assert (provider.requests, road.differences()) == ([], [])


@pytest.mark.parametrize(
    ("script", "code", "status"),
    [
        ({"status": 400, "error_code": "content_policy_violation"}, "provider_rejected", 400),
        ({"status": 401}, "provider_unavailable", 503),
        ({"status": 429, "retry_after": "7"}, "provider_busy", 429),
        ({"status": 429, "error_code": "insufficient_quota"}, "provider_unavailable", 503),
        ({"status": 500}, "provider_error", 502),
    ],
    ids=str,
)
def test_what_the_provider_refuses_costs_nothing(
    conversation: Conversation, provider: ScriptedProvider, script: dict[str, Any], code: str, status: int
) -> None:
    message, record, row, events = ended(conversation, provider, **script)
    check_error(message, events, code)
    assert message.error is not None
    assert message.error["status"] == status
    assert message.error.get("retry_after") == (7 if "retry_after" in script else None)
    assert message.content == ""
    assert (record.state, record.outcome, record.cost, row.cost) == ("released", "failed", 0, 0)
    assert record.provider_request_id == row.request_id


def test_a_provider_that_is_not_there_costs_nothing(conversation: Conversation, settings: Any) -> None:
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    message, events = road.whole(road.ask(conversation))
    check_error(message, events, "provider_unavailable")
    assert message.usage_record.state == "released"
    assert road.differences() == []


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"delay_headers": 5}, "provider_timeout"),
        ({"cut_after": -1}, "provider_unavailable"),
        ({"cut_after": 0}, "provider_error"),
        ({"stall_after": 0}, "provider_timeout"),
        ({"error_event_after": 0}, "provider_error"),
        ({"html": True}, "provider_error"),
    ],
    ids=str,
)
def test_a_call_that_left_and_brought_nothing_is_paid_by_its_prompt(
    conversation: Conversation, provider: ScriptedProvider, script: dict[str, Any], code: str
) -> None:
    message, record, row, events = ended(conversation, provider, **script)
    check_error(message, events, code)
    assert message.content == ""
    assert (record.state, record.outcome, record.measured) == ("settled", "failed", "estimated")
    assert (record.input_tokens, record.output_tokens) == (record.input_bound, 0)
    assert record.cost >= road.nano(row)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"cut_after": 12, "cut": "end"}, "provider_error"),
        ({"cut_after": 12, "cut": "close"}, "provider_error"),
        ({"cut_after": 12, "cut": "reset"}, "provider_error"),
        ({"stall_after": 12}, "provider_timeout"),
        ({"error_event_after": 12}, "provider_error"),
        ({"broken_json_after": 12}, "provider_error"),
        ({"finish": False, "usage_chunk": False, "done": False}, "provider_error"),
    ],
    ids=str,
)
def test_a_stream_that_breaks_off_keeps_its_text_and_is_paid_by_it(
    conversation: Conversation, provider: ScriptedProvider, script: dict[str, Any], code: str
) -> None:
    message, record, row, events = ended(
        conversation, provider, delta_count=24, seed=2, delay_between=0.004, cached_tokens=3, **script
    )
    check_error(message, events, code)
    assert message.content
    assert row.text.startswith(message.content)
    assert (record.state, record.outcome, record.measured) == ("settled", "failed", "estimated")
    assert record.input_tokens == row.input_tokens
    assert record.output_tokens == provider_tokens.count(message.content)
    assert record.cached_input_tokens == 0, "nobody has said that anything was cached"
    assert record.provider_request_id == row.request_id
    if script.get("cut") != "reset" and "broken_json_after" not in script:  # these may have sent more
        assert message.content == row.text
    if message.content == row.text:
        assert record.cost >= road.nano(row)


def test_a_stream_without_its_end_but_with_usage_is_paid_by_that(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    message, record, row, events = ended(
        conversation, provider, text="Hello there you", finish=False, cached_tokens=5, reasoning_tokens=9
    )
    check_error(message, events, "provider_error")
    assert message.content == "Hello there you"
    assert (record.measured, record.outcome, record.cost) == ("provider", "failed", road.nano(row))


@pytest.mark.parametrize(
    "script",
    [
        {"usage_chunk": False},
        {"usage_replace": {}},
        {"usage_replace": "many"},
        {"usage_replace": {"prompt_tokens": -1, "completion_tokens": 2}},
        {"usage_extra": {"prompt_tokens": 0}},
        {"usage_extra": {"completion_tokens": 0}},
        {"usage_extra": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}},
        {"usage_extra": {"completion_tokens": "9"}},
        {"usage_extra": {"prompt_tokens_details": {"cached_tokens": 10_000}}},
        {"usage_extra": {"note": "a\x00b"}},
    ],
    ids=str,
)
def test_usage_that_is_missing_or_cannot_be_true_is_estimated_exactly_here(
    conversation: Conversation, provider: ScriptedProvider, script: dict[str, Any]
) -> None:
    message, record, row, events = ended(conversation, provider, delta_count=30, seed=4, **script)
    assert (message.status, message.content) == ("complete", row.text)
    assert (record.state, record.outcome, record.measured) == ("settled", "complete", "estimated")
    assert record.cost == road.nano(row), "the tokenizer is known, so counting from the text is exact"
    assert road.data(events[-1])["usage"]["estimated"] is True


def test_tokens_that_were_cached_or_thought_are_paid_as_such(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    _, record, row, _ = ended(conversation, provider, text="Hello", cached_tokens=8, reasoning_tokens=40)
    assert (record.cached_input_tokens, record.reasoning_tokens) == (8, 40)
    assert record.cost == road.nano(row)
    assert record.usage["completion_tokens_details"]["reasoning_tokens"] == 40


def test_a_truth_above_the_hold_is_booked_and_told(
    conversation: Conversation, provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="billing")
    _, record, row, _ = ended(conversation, provider, text="Hello", hidden_input_tokens=50_000)
    assert record.cost == road.nano(row) > record.hold
    assert record.over_hold
    assert [line.levelname for line in caplog.records if "over its hold" in line.getMessage()] == ["ERROR"]


def test_an_answer_that_is_empty_is_complete_and_paid(conversation: Conversation, provider: ScriptedProvider) -> None:
    message, record, row, _ = ended(conversation, provider, deltas=())
    assert (message.status, message.content, message.html) == ("complete", "", "")
    assert record.cost == road.nano(row) > 0


def test_a_filter_that_ended_the_answer_is_told(conversation: Conversation, provider: ScriptedProvider) -> None:
    message, _, _, events = ended(conversation, provider, text="Hello", finish_reason="content_filter")
    assert (message.status, message.finish_reason) == ("complete", "content_filter")
    assert [event.kind for event in events][-2:] == ["warning", "done"]


def test_a_request_id_that_is_too_long_keeps_no_reply_from_ending(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(text="Hello", headers={"x-request-id": "r" * 1000}, finish_reason="f" * 200))
    message, _ = road.whole(road.ask(conversation))
    assert (message.status, message.finish_reason) == ("complete", "f" * 40)
    assert message.usage_record.provider_request_id == "r" * 200


def test_a_failed_reply_leaves_the_conversation_free(conversation: Conversation, provider: ScriptedProvider) -> None:
    ended(conversation, provider, status=500)
    provider.enqueue(Script(text="The answer"))
    message, _ = road.whole(road.ask(conversation, "Again, please"))
    assert message.content == "The answer"
    assert road.differences() == []


@pytest.mark.only("scaled")
def test_a_log_that_is_away_when_its_reply_ends_is_no_fault(
    conversation: Conversation, provider: ScriptedProvider, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHAT_TITLES, settings.CHAT_PROVIDER_TIMEOUT = True, 20
    provider.enqueue(Script(text="Fine, thanks", hold_after=1), Script(text="Being well"))
    behind = urlsplit(settings.REDIS_URL)

    async def scenario() -> None:
        await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        wire.cut()
        await asyncio.to_thread(provider.release)
        while not await in_database(Conversation.objects.filter(title_source="model").exists):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    with Wire(behind.port or 6379) as wire:
        settings.REDIS_URL = behind._replace(netloc=f"127.0.0.1:{wire.port}").geturl()
        road.run(scenario())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
