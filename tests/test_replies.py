"""The whole road in one process: what a send becomes, in the database, for a follower and on the provider's bill."""

from __future__ import annotations

import asyncio
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.statements import run
from billing import budgets, closing, enforcement, limiting, money
from billing.models import UsageRecord
from conversations import keys, replies
from conversations.models import Conversation, Delta, Message
from tests import road
from tests.locks import until_somebody_waits
from tests.provider import Script, ScriptedProvider
from tests.provider.client import only_row
from tests.talks import make_conversation


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: Any
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    return make_conversation(alice)


def test_a_send_ends_complete_stored_and_settled_at_the_provider_s_own_cost(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    begun_at = timezone.now()
    provider.enqueue(Script(delta_count=60, seed=3, delay_between=0.002, cached_tokens=4, reasoning_tokens=11))
    message, events = road.whole(road.ask(conversation, "What is *new*?"))

    row = only_row(provider)
    assert (message.status, message.finish_reason, message.error) == ("complete", "stop", None)
    assert message.content == row.text == road.text(events)
    assert message.html.startswith("<p>")
    assert message.token_count == row.output_tokens - 11
    assert begun_at <= message.created_at <= message.ended_at <= timezone.now()
    assert (message.lease_owner, message.lease_expires_at) == (None, None)
    question = message.parent
    assert (question.role, question.content, question.depth, message.depth) == ("user", "What is *new*?", 0, 1)

    record = message.usage_record
    assert (record.state, record.outcome, record.measured) == ("settled", "complete", "provider")
    assert record.cost == road.nano(row)
    assert record.cost <= record.hold
    assert not record.over_hold
    assert (record.input_tokens, record.output_tokens) == (row.input_tokens, row.output_tokens)
    assert (record.cached_input_tokens, record.reasoning_tokens) == (4, 11)
    assert record.provider_request_id == row.request_id
    assert record.key_fingerprint == keys.fingerprint()
    assert (record.feature, record.model, record.user, record.user_name) == (
        "chat", "gpt-4o-mini", conversation.user, conversation.user.name,
    )  # fmt: skip
    assert record.spend_date == budgets.spend_date(begun_at)
    assert road.periods_of(record) == [(record.cost, 0)] * 3
    assert Delta.objects.count() == 0, "the log goes when the reply has ended"
    assert road.differences() == []


def test_what_a_follower_is_told(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One **two** three."))
    message, events = road.whole(road.ask(conversation))

    assert {event.kind for event in events[1:-1]} == {"delta"}
    first, last = road.data(events[0]), road.data(events[-1])
    record = message.usage_record
    assert first == {
        "type": "started",
        "message": first["message"],
        "user_message": first["user_message"],
        "context": {"prompt_tokens": 9, "limit": 4000, "included_messages": 1, "dropped_messages": 0},
        "max_cost_usd": money.to_json(record.hold),
    }
    assert first["message"]["id"] == str(message.pk)
    assert (first["message"]["status"], first["message"]["usage"]) == ("generating", None)
    assert (first["user_message"]["content"], first["user_message"]["status"]) == ("Hello there", "complete")
    assert last["type"] == "done"
    assert last["usage"] == last["message"]["usage"]
    assert last["usage"] == {
        "input_tokens": record.input_tokens,
        "cached_input_tokens": 0,
        "output_tokens": record.output_tokens,
        "reasoning_tokens": 0,
        "total_tokens": record.input_tokens + record.output_tokens,
        "cost_usd": money.to_json(record.cost),
        "estimated": False,
        "model": "gpt-4o-mini",
    }
    assert "<strong>two</strong>" in last["message"]["html"]
    assert last["budget"]["remaining_usd"] == money.to_json(money.NANO_PER_DOLLAR - record.cost)
    assert last["budget"]["period"] == "day"


def test_the_provider_is_sent_the_branch_and_the_conversation_is_named(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    Conversation.objects.filter(pk=conversation.pk).update(system_prompt="Be brief.")
    provider.enqueue(Script(text="First answer"), Script(text="Second answer"))
    road.whole(road.ask(conversation, "First\n question " + "so long " * 20))
    message, _ = road.whole(road.ask(conversation, "Second question"))

    first, second = (request.body["messages"] for request in provider.requests)
    assert first[0] == {"role": "system", "content": "Be brief."}
    assert second == [
        *first,
        {"role": "assistant", "content": "First answer"},
        {"role": "user", "content": "Second question"},
    ]
    assert message.context["prompt_tokens"] == message.usage_record.input_tokens == message.usage_record.input_bound
    assert message.context["included_messages"] == 3
    conversation.refresh_from_db()
    assert conversation.title == f"First question {'so long ' * 5}so…"
    assert conversation.updated_at == message.created_at


def test_the_smart_tier_asks_the_smart_model_and_is_billed_for_it(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    message, _ = road.whole(road.ask(conversation, tier="smart"))
    row = only_row(provider)
    assert (row.model, message.model, message.tier) == ("gpt-4o", "gpt-4o", "smart")
    assert message.usage_record.cost == road.nano(row)
    assert message.usage_record.price.model == "gpt-4o"


def test_older_messages_are_dropped_where_the_limit_is_reached(
    conversation: Conversation, provider: ScriptedProvider, settings: Any
) -> None:
    settings.CHAT_PROMPT_TOKENS = 64
    provider.set_default(Script(delta_count=20))
    for number in range(4):
        message, _ = road.whole(road.ask(conversation, f"Question {number}"))
    context = message.context
    assert context["prompt_tokens"] <= 64
    assert (context["included_messages"], context["dropped_messages"]) == (3, 4)
    assert [row.input_tokens for row in provider.bill.rows][-1] == context["prompt_tokens"]


def test_an_answer_that_reached_its_cap_says_so(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(delta_count=3000))
    message, events = road.whole(road.ask(conversation))
    assert (message.status, message.finish_reason) == ("complete", "length")
    assert [event.kind for event in events if event.kind != "delta"] == ["started", "warning", "done"]
    assert road.data(events[-2])["code"] == "truncated"
    assert message.usage_record.output_tokens == only_row(provider).output_tokens == 1000


def test_where_the_budget_is_short_the_cap_that_is_sent_is_what_fits(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    limit = 9 * 150 + 100 * 600 + 599  # nano-dollars: the prompt's 9 tokens, 100 of output and not quite one more
    limiting.set_limit(user=conversation.user, period="day", limit=limit)
    provider.enqueue(Script(delta_count=3000))
    message, events = road.whole(road.ask(conversation))

    (request,) = provider.requests
    record = message.usage_record
    assert request.body["max_tokens"] == record.output_cap == record.output_tokens == 100
    assert record.cost == road.nano(only_row(provider)) <= record.hold <= limit
    assert message.finish_reason == "length"
    assert [event.kind for event in events][-2:] == ["warning", "done"]
    assert road.differences() == []


def test_a_character_that_no_database_stores_is_left_out(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(deltas=("a\x00b", "\x00", " \ud83d", "\ude00 c")))
    message, events = road.whole(road.ask(conversation))
    assert message.content == road.text(events) == "ab 😀 c"
    assert message.usage_record.measured == "provider"


def test_answers_in_conversations_at_the_same_time_do_not_mix(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    others = [make_conversation(conversation.user) for _ in range(7)]
    asked = [
        road.ask(each, f"{number} {Script(delta_count=40, seed=number, delay_between=0.003).directive()}")
        for number, each in enumerate([conversation, *others])
    ]

    async def scenario() -> list[Any]:
        begun = await asyncio.gather(*map(road.sent, asked))
        return await asyncio.gather(*(road.told(each.message) for each in begun))

    told = road.run(scenario())

    texts = {road.text(events) for events in told}
    assert texts == {row.text for row in provider.wait_idle().rows}
    assert texts == set(Message.objects.filter(role="assistant").values_list("content", flat=True))
    assert len(texts) == 8
    spent = sum(UsageRecord.objects.values_list("cost", flat=True))
    assert spent == sum(map(road.nano, provider.bill.rows))
    assert road.differences() == []


# Queries


def begin(conversation: Conversation) -> list[str]:
    """What the domain asks the database before a reply runs."""
    with CaptureQueriesContext(connection) as asked:
        replies._begin(road.ask(conversation), uuid.uuid4(), timezone.now, lambda _: None)
    return [re.sub(r"'[^']*'|\b[0-9a-f]{32}\b|\b\d+\b", "?", query["sql"]) for query in asked]


def test_a_send_asks_the_same_of_the_database_however_long_the_conversation_is(conversation: Conversation) -> None:
    user = conversation.user
    begin(make_conversation(user))  # makes what is made once: account, budgets, periods
    short, middle, long, longest = (begin(make_conversation(user, messages=count)) for count in (2, 50, 1000, 2000))
    assert len(long) == len(longest), "\n".join(longest)
    assert len(middle) - len(short) <= 2, "what is above the window that is read at once, in steps that double"
    assert len(long) - len(short) <= 4, "as many as fit into what is sent"
    # PostgreSQL: before the transaction; its beginning, locks and branch, budgets, group, record, the rest, its end.
    assert len(short) <= (8 if connection.vendor == "postgresql" else 23), "\n".join(short)


def test_a_send_reads_no_more_of_the_conversation_than_its_window(conversation: Conversation, settings: Any) -> None:
    settings.CHAT_PROMPT_TOKENS = 100
    begin(make_conversation(conversation.user))
    short, long = (begin(make_conversation(conversation.user, messages=count)) for count in (2, 2000))
    assert len(short) == len(long), "\n".join(long)


def test_the_tests_mean_the_models_of_the_settings() -> None:
    assert django_settings.CHAT_MODELS == {"fast": "gpt-4o-mini", "smart": "gpt-4o"}


@pytest.mark.only("scaled")  # SQLite has one writer at a time
def test_a_send_that_waits_while_its_month_ends_and_is_closed_is_of_the_next(
    conversation: Conversation, staff: User
) -> None:
    april = datetime(2026, 4, 1, tzinfo=UTC)
    closed = threading.Event()
    ordered: list[Any] = []

    def apart(act: Any) -> Any:
        try:
            return act()
        finally:
            connection.close()

    def begin() -> Any:
        def clock() -> datetime:
            return april if closed.is_set() else april - timedelta(microseconds=1)

        return replies._begin(road.ask(conversation), uuid.uuid4(), clock, ordered.append)

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():  # another send of the same user, to another conversation
            run(*enforcement.locking(user=conversation.user))
            beginning = pool.submit(apart, begin)
            until_somebody_waits()
            sealed = pool.submit(apart, lambda: closing.close(month=date(2026, 3, 1), by=staff, now=april)).result()
            closed.set()
        begun = beginning.result()
    assert sealed.records == 0
    assert UsageRecord.objects.get().spend_date == date(2026, 4, 1)
    assert ordered[-1].message.pk == begun.message.pk
    assert conversation.messages.count() == 2
    assert road.differences() == []
