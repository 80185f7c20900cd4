"""Idempotency keys: the same key never makes a second call."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from billing.models import UsageRecord
from conversations import replies
from conversations.models import Conversation
from conversations.replies import IdempotencyConflict
from tests import road
from tests.provider import Script, ScriptedProvider
from tests.provider.client import only_row
from tests.talks import make_conversation


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: Any
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    return make_conversation(alice)


def test_the_same_again_gives_what_the_first_made(conversation: Conversation, provider: ScriptedProvider) -> None:
    request = road.ask(conversation, key="one")
    first, told = road.whole(request)
    before = road.everything()

    begun = road.run(road.sent(request))
    again, told_again = road.whole(request)

    assert begun.created is False
    assert begun.message.pk == first.pk == again.pk
    assert road.text(told_again) == road.text(told) == first.content
    assert road.data(told_again[-1]) == road.data(told[-1])
    assert road.data(told_again[0])["user_message"] == road.data(told[0])["user_message"]
    assert road.everything() == before
    only_row(provider)


def test_the_same_while_it_runs_follows_it(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=20, hold_after=10))
    request = road.ask(conversation, key="one")

    async def scenario() -> tuple[Any, Any, str, str]:
        first = await road.sent(request)
        await road.billed(provider, lambda bill: bill.waiting == 1)
        second = await road.sent(request)
        following = [asyncio.create_task(road.told(begun.message)) for begun in (first, second)]
        await asyncio.sleep(0.1)
        provider.release()
        texts = [road.text(await task) for task in following]
        return first, second, *texts

    first, second, text, again = road.run(scenario())
    assert (first.created, second.created) == (True, False)
    assert first.message.pk == second.message.pk
    assert text == again == only_row(provider).text


@pytest.mark.parametrize("change", [{"content": "Other words"}, {"tier": "smart"}, {"parent": None}])
def test_the_same_key_with_another_body_is_a_conflict(
    conversation: Conversation, provider: ScriptedProvider, change: dict[str, Any]
) -> None:
    first, _ = road.whole(road.ask(conversation, key="one"))
    before = road.everything()

    with pytest.raises(IdempotencyConflict) as raised:
        road.run(road.sent(road.ask(conversation, **{"content": "Hello there", "key": "one"} | change)))

    assert raised.value.details == {"message_id": str(first.pk)}
    assert (raised.value.code, raised.value.status) == ("idempotency_conflict", 409)
    assert road.everything() == before
    only_row(provider)


def test_a_key_means_something_else_in_another_conversation(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    other = make_conversation(conversation.user)
    messages = [road.whole(road.ask(each, key="one"))[0] for each in (conversation, other)]
    assert messages[0].pk != messages[1].pk
    assert len(provider.wait_idle().rows) == 2


def test_answering_again_takes_a_key_too(conversation: Conversation, provider: ScriptedProvider) -> None:
    first, _ = road.whole(road.ask(conversation, key="one"))
    again = road.ask(conversation, content="", regenerate=first.parent_id, key="two")
    assert road.whole(again)[0].pk == road.whole(again)[0].pk != first.pk
    assert len(provider.wait_idle().rows) == 2


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_of_twenty_at_once_one_makes_the_call_and_all_get_its_answer(
    conversation: Conversation, provider: ScriptedProvider, settings: Any, seconds: float
) -> None:
    settings.CHAT_REPLIES_AT_ONCE = 1
    provider.set_default(Script(delta_count=10, delay_first=seconds))
    request = road.ask(conversation, key="one")

    async def scenario() -> tuple[list[Any], list[str]]:
        begun = await asyncio.gather(*(road.sent(request) for _ in range(20)))
        told = await asyncio.gather(*(road.told(each.message) for each in begun))
        return begun, [road.text(events) for events in told]

    begun, texts = road.run(scenario())

    assert sum(each.created for each in begun) == 1
    assert len({each.message.pk for each in begun}) == 1
    assert set(texts) == {only_row(provider).text}
    assert UsageRecord.objects.count() == 1
    assert conversation.messages.count() == 2
    assert road.differences() == []


@pytest.mark.usefixtures("unprepared")
def test_the_same_sent_between_two_looks_is_found_and_not_refused(conversation: Conversation) -> None:
    request = road.ask(conversation, key="one")
    looked: list[str] = []
    meanwhile: list[Any] = []
    ordered: list[Any] = []

    def begin() -> Any:
        try:
            return replies._begin(request, uuid.uuid4(), timezone.now, ordered.append)
        finally:
            connection.close()

    def between(execute: Any, sql: str, *rest: Any) -> Any:
        if looked and not meanwhile:  # the first look for the key has found nothing, and no lock is held yet
            with ThreadPoolExecutor(1) as other:
                meanwhile.append(other.submit(begin).result())
        if "idempotency_key" in sql:
            looked.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(between):
        begun = replies._begin(request, uuid.uuid4(), timezone.now, ordered.append)

    first = meanwhile[0]
    assert (first.created, begun.created) == (True, False)
    assert begun.message.pk == first.message.pk
    assert [order.message.pk for order in ordered] == [first.message.pk], "only what was begun is written"


def test_a_retry_uses_up_no_rate(conversation: Conversation, settings: Any) -> None:
    settings.CHAT_RATE = "1/d"
    request = road.ask(conversation, key="one")
    road.whole(request)
    assert road.run(road.sent(request)).created is False
