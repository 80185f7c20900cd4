"""What is refused before anything is written: no row, no counter of another limit and no branch has changed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.errors import InvalidRequest, NotFound, Refusal
from accounts.models import User
from billing import enforcement, limiting
from billing.budgets import BudgetExhausted
from billing.enforcement import AccountDisabled
from billing.prices import UnpricedModel
from conversations import replies, stopping
from conversations.admission import ReplyInProgress
from conversations.context import MessageTooLong
from conversations.limits import RateLimited
from conversations.models import Conversation, Message
from conversations.replies import Send
from tests import road
from tests.provider import Script, ScriptedProvider
from tests.talks import make_conversation


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: User
) -> Conversation:
    """One that has an exchange already, so that there is a branch that could change."""
    settings.OPENAI_BASE_URL = provider.base_url
    conversation = make_conversation(alice)
    road.whole(road.ask(conversation, "The first question"))
    provider.wait_idle()
    provider.reset()
    return conversation


@pytest.fixture
def refused(conversation: Conversation, provider: ScriptedProvider) -> Callable[..., Any]:
    """Sends, expects a refusal, and sees that nothing has changed and nobody was asked."""

    def send(request: Send, kind: type[Refusal]) -> Refusal:
        before = road.everything()
        with pytest.raises(kind) as raised:
            road.run(road.sent(request))
        assert type(raised.value) is kind
        assert road.everything() == before
        assert provider.requests == []
        assert road.differences() == []
        return raised.value

    return send


def first_answer(conversation: Conversation) -> Message:
    return conversation.messages.get(role="assistant")


def test_a_disabled_account(conversation: Conversation, refused: Callable[..., Any]) -> None:
    now = timezone.now()
    enforcement.disable(
        users=[conversation.user], by="staff", reason="On leave.", until=now + timedelta(days=1), now=now
    )
    error = refused(road.ask(conversation), AccountDisabled)
    assert (error.code, error.status) == ("account_disabled", 403)
    assert error.details == {"reason": "On leave.", "until": (now + timedelta(days=1)).isoformat()}


@pytest.mark.parametrize("parent", ["tip", "start"])
def test_a_budget_without_room(conversation: Conversation, refused: Callable[..., Any], parent: str) -> None:
    spent = first_answer(conversation).usage_record.cost
    limiting.set_limit(user=conversation.user, period="day", limit=spent + 9 * 150 + 63 * 600 + 599)
    elsewhere = {} if parent == "tip" else {"parent": None}
    error = refused(road.ask(conversation, **elsewhere), BudgetExhausted)
    assert (error.code, error.status, error.details["budget"]) == ("budget_exhausted", 402, "user_day")


def test_a_message_that_is_too_long(conversation: Conversation, refused: Callable[..., Any], settings: Any) -> None:
    settings.CHAT_PROMPT_TOKENS = 64
    error = refused(road.ask(conversation, "word " * 100, parent=None), MessageTooLong)
    assert error.details == {"token_count": 100 + 1 + 7, "limit": 64}  # a space at the end is a token too


def test_an_answer_that_is_still_being_written(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=10, hold_after=0))

    async def scenario() -> tuple[Any, Any, Any]:
        begun = await road.sent(road.ask(conversation))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        before = await replies.in_database(road.everything)
        with pytest.raises(ReplyInProgress) as raised:
            await road.sent(road.ask(conversation, "Another"))
        after = await replies.in_database(road.everything)
        provider.release()
        await road.told(begun.message)
        assert raised.value.details == {"message_id": str(begun.message.pk)}
        assert (raised.value.code, raised.value.status) == ("reply_in_progress", 409)
        return before, after, raised

    before, after, _ = road.run(scenario())
    assert before == after
    assert len(provider.requests) == 1


def test_of_many_sends_to_one_conversation_at_once_one_is_answered(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    provider.set_default(Script(text="The answer", delay_first=0.2))

    async def scenario() -> list[Any]:
        asked = (road.sent(road.ask(conversation, f"Question {number}")) for number in range(10))
        found = await asyncio.gather(*asked, return_exceptions=True)
        for begun in found:
            if not isinstance(begun, Exception):
                await road.told(begun.message)
        return found

    found = road.run(scenario())

    assert sum(not isinstance(outcome, Exception) for outcome in found) == 1
    assert {type(outcome) for outcome in found if isinstance(outcome, Exception)} == {ReplyInProgress}
    assert len(provider.wait_idle().rows) == 1
    assert conversation.messages.count() == 4
    assert road.differences() == []


def test_replies_at_once(conversation: Conversation, provider: ScriptedProvider, settings: Any) -> None:
    settings.CHAT_REPLIES_AT_ONCE = 2
    settings.CHAT_RATE = "3/d"  # the refusal must not use one of these up
    others = [make_conversation(conversation.user) for _ in range(2)]
    provider.set_default(Script(delta_count=4, hold_after=0))

    async def scenario() -> RateLimited:
        running = [await road.sent(road.ask(each)) for each in others]
        await road.billed(provider, lambda bill: bill.waiting == 2)
        before = await replies.in_database(road.everything)
        with pytest.raises(RateLimited) as raised:
            await road.sent(road.ask(conversation))
        assert await replies.in_database(road.everything) == before
        provider.set_default(Script())
        provider.release()
        for begun in running:
            await road.told(begun.message)
        await road.told((await road.sent(road.ask(conversation))).message)  # there is room again
        return raised.value

    error = road.run(scenario())
    assert (error.code, error.status, error.details) == ("rate_limited", 429, {"retry_after": 5})
    assert error.headers()["RateLimit-Remaining"] == "1"  # of three


@pytest.mark.parametrize(
    ("name", "tier", "by"), [("CHAT_RATE", "fast", "user"), ("CHAT_RATE_SMART", "smart", "user"),
                             ("CHAT_RATE_IP", "fast", "address")],
)  # fmt: skip
def test_too_many_messages(
    conversation: Conversation, refused: Callable[..., Any], provider: ScriptedProvider, settings: Any, bob: User,
    name: str, tier: str, by: str,
) -> None:  # fmt: skip
    setattr(settings, name, "2/d")
    for _ in range(2):
        road.whole(road.ask(conversation, tier=tier))
    provider.wait_idle()
    provider.reset()

    error = refused(road.ask(conversation, tier=tier), RateLimited)

    assert (error.code, error.status) == ("rate_limited", 429)
    assert 1 <= error.details["retry_after"] <= 86_400
    assert error.headers() == {
        "Retry-After": str(error.details["retry_after"]),
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(error.details["retry_after"]),
    }
    other = make_conversation(bob)
    if by == "address":
        refused(road.ask(other), RateLimited)
        message, _ = road.whole(road.ask(other, address="203.0.113.9"))
    else:
        message, _ = road.whole(road.ask(other, tier=tier))
    assert message.status == "complete"


def test_a_refusal_that_is_found_late_uses_up_none_of_the_messages(
    conversation: Conversation, refused: Callable[..., Any], provider: ScriptedProvider, settings: Any
) -> None:
    settings.CHAT_RATE = "1/d"
    refused(road.ask(conversation, "word " * 5000), MessageTooLong)
    refused(road.ask(conversation, parent=uuid.uuid4()), NotFound)
    limiting.set_limit(user=conversation.user, period="day", limit=1)
    refused(road.ask(conversation), BudgetExhausted)
    limiting.set_limit(user=conversation.user, period="day", limit=None)
    assert road.whole(road.ask(conversation))[0].status == "complete"
    provider.wait_idle()
    provider.reset()
    refused(road.ask(conversation), RateLimited)


def test_a_model_without_a_price(conversation: Conversation, refused: Callable[..., Any], settings: Any) -> None:
    settings.CHAT_MODELS = {"fast": "nobody-knows", "smart": "gpt-4o"}
    error = refused(road.ask(conversation), UnpricedModel)
    assert (error.code, error.status) == ("provider_unavailable", 503)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"content": ""}, "content"),
        ({"content": " \n\t"}, "content"),
        ({"content": "a\x00b"}, "content"),
        ({"content": "half \ud83d"}, "content"),
        ({"content": "\udc00 half"}, "content"),
        ({"content": "x" * 1_000_001}, "content"),
        ({"tier": "best"}, "tier"),
        ({"tier": ""}, "tier"),
        ({"key": ""}, "key"),
        ({"key": "k" * 256}, "key"),
        ({"key": "a\x00b"}, "key"),
        ({"key": "half \ud83d"}, "key"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_cannot_be_sent(
    conversation: Conversation, refused: Callable[..., Any], fields: dict[str, Any], named: str
) -> None:
    error = refused(road.ask(conversation, **fields), InvalidRequest)
    assert set(error.details["fields"]) == {named}
    assert (error.code, error.status) == ("invalid_request", 400)


def test_a_message_below_a_question_or_in_another_conversation(
    conversation: Conversation, refused: Callable[..., Any], charlie: User
) -> None:
    question = conversation.messages.get(role="user")
    error = refused(road.ask(conversation, parent=question.pk), InvalidRequest)
    assert set(error.details["fields"]) == {"parent"}
    for owner in (conversation.user, charlie):
        elsewhere = make_conversation(owner, messages=2).messages.get(role="assistant")
        refused(road.ask(conversation, parent=elsewhere.pk), NotFound)
    refused(road.ask(conversation, parent=uuid.uuid4()), NotFound)


def test_another_s_conversation_is_not_there(
    conversation: Conversation, refused: Callable[..., Any], charlie: User
) -> None:
    refused(road.ask(conversation, user=charlie), NotFound)
    refused(road.ask(conversation, user=charlie, content=""), NotFound)
    refused(road.ask(conversation, user=charlie, regenerate=conversation.messages.get(role="user").pk), NotFound)
    refused(road.ask(conversation, conversation_id=uuid.uuid4()), NotFound)


def test_another_s_message_cannot_be_answered_again_or_stopped(
    conversation: Conversation, refused: Callable[..., Any], charlie: User
) -> None:
    theirs = make_conversation(charlie)
    question = conversation.messages.get(role="user")
    refused(road.ask(theirs, regenerate=question.pk), NotFound)
    refused(road.ask(conversation, regenerate=first_answer(conversation).pk), NotFound)  # it is no question
    with pytest.raises(NotFound):
        road.run(stopping.stop(user=charlie, message_id=first_answer(conversation).pk, now=timezone.now()))
