"""Names: the question's first words at once, a model's after the first whole answer, a person's for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Token, User
from billing import enforcement
from billing.models import BudgetPeriod, Price, UsageRecord
from conversations import lifecycle, replies, titles
from conversations.models import Conversation
from conversations.tasks import recover_titles
from conversations.titles import first_words
from tests import road
from tests.calls import limit
from tests.provider import Script, ScriptedProvider
from tests.talks import make_conversation


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: User
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    settings.CHAT_TITLES = True
    return make_conversation(alice)


def talk(conversation: Conversation, *sends: str, **fields: Any) -> Conversation:
    """Send, wait for each answer and for the name that may follow it."""

    async def scenario() -> None:
        for content in sends:
            begun = await road.sent(road.ask(conversation, content, **fields))
            await road.told(begun.message)
            while working := [task for task in (*replies._running, *titles._running) if mine(task)]:
                await asyncio.wait(working, timeout=20)

    def mine(task: asyncio.Task[None]) -> bool:
        return task.get_loop() is asyncio.get_running_loop()

    road.run(scenario())
    return Conversation.objects.get(pk=conversation.pk)


def test_the_first_whole_answer_brings_a_name(
    conversation: Conversation, provider: ScriptedProvider, alice: User
) -> None:
    provider.enqueue(Script(text="Take the **train**."))
    provider.enqueue(Script(text='"Trip to Machu Picchu."'))
    named = talk(conversation, "How do I get there?", "And back?")
    assert (named.title, named.title_source) == ("Trip to Machu Picchu", "model")
    _, naming, _ = provider.requests
    assert (naming.body["model"], naming.body["max_tokens"]) == ("gpt-4o-mini", titles.OUTPUT_CAP)
    assert "How do I get there?" in naming.body["messages"][1]["content"]
    assert "Take the **train**." in naming.body["messages"][1]["content"]
    records = list(UsageRecord.objects.order_by("pk"))
    assert [(record.feature, record.state) for record in records] == [
        ("chat", "settled"), ("title", "settled"), ("chat", "settled"),
    ]  # fmt: skip
    assert named.title_record == records[1]
    assert records[1].cost == road.nano(provider.wait_idle().rows[1])
    assert records[1].cost <= records[1].hold
    assert road.differences() == []


def test_a_name_is_spent_by_the_token_that_asked_for_the_answer(conversation: Conversation, alice: User) -> None:
    token, _ = Token.issue(user=alice)
    talk(conversation, "Hello", token_id=token.pk)
    talk(make_conversation(alice), "Hello")
    records = UsageRecord.objects.order_by("pk").values_list("feature", "api_token")
    assert list(records) == [("chat", token.pk), ("title", token.pk), ("chat", None), ("title", None)]


def test_a_persons_name_stays(conversation: Conversation, provider: ScriptedProvider, alice: User) -> None:
    lifecycle.change(user=alice, conversation_id=conversation.pk, title="Mine")
    assert talk(conversation, "Hello").title == "Mine"
    assert len(provider.requests) == 1


def test_a_name_given_meanwhile_stays(conversation: Conversation, provider: ScriptedProvider, alice: User) -> None:
    provider.enqueue(Script(text="Hi"))
    provider.enqueue(Script(text="The model's", hold_after=1))

    async def scenario() -> None:
        begun = await road.sent(road.ask(conversation, "Hello"))
        await road.told(begun.message)
        await road.billed(provider, lambda bill: bill.waiting == 1)
        await asyncio.to_thread(lifecycle.change, user=alice, conversation_id=conversation.pk, title="Mine")
        provider.release()
        await asyncio.gather(*titles._running)

    road.run(scenario())
    assert Conversation.objects.get().title == "Mine"
    assert UsageRecord.objects.get(feature="title").state == "settled"
    assert road.differences() == []


@pytest.mark.parametrize(
    "script",
    [
        Script(status=500),
        Script(text=" \n"),
        Script(delta_count=100),  # cut at the cap: not a name
        Script(text="Half a", cut_after=1),
        Script(text="No", finish=False),
    ],
)
def test_where_no_name_comes_the_first_words_stay(
    conversation: Conversation, provider: ScriptedProvider, script: Script, settings: Any
) -> None:
    settings.CHAT_PROVIDER_RETRIES = 0
    provider.enqueue(Script(text="Hi"))
    provider.enqueue(script)
    named = talk(conversation, "Hello there", "Again")
    assert (named.title, named.title_source) == ("Hello there", "")
    assert len(provider.requests) == 3  # it is not tried again
    assert not UsageRecord.objects.filter(state="held").exists()
    assert road.differences() == []


def test_no_name_for_what_has_no_need_of_one(
    conversation: Conversation, provider: ScriptedProvider, alice: User, settings: Any
) -> None:
    temporary = make_conversation(alice, temporary=True)
    talk(temporary, "Hello")
    imported = make_conversation(alice, messages=4, title="From elsewhere")
    talk(imported, "Hello")
    settings.CHAT_TITLES = False
    talk(conversation, "Hello")
    settings.CHAT_TITLES = True
    talk(conversation, "Hello again")  # no longer the first whole answer
    assert len(provider.requests) == 4
    assert not UsageRecord.objects.filter(feature="title").exists()


def test_an_answer_that_is_not_whole_brings_none(conversation: Conversation, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="Half an", cut_after=1))
    assert talk(conversation, "Hello").title == "Hello"
    assert len(provider.requests) == 1
    provider.enqueue(Script(text="Whole"))
    provider.enqueue(Script(text="A name"))
    assert talk(conversation, "Again").title == "A name"


def test_no_name_without_room_in_the_budget_or_while_disabled(
    conversation: Conversation, provider: ScriptedProvider, alice: User
) -> None:
    provider.enqueue(Script(text="word " * 30))
    limit(user=alice, day="0.000045")
    assert talk(conversation, "Hello").title == "Hello"
    assert len(provider.requests) == 1
    other = make_conversation(alice)
    limit(user=alice, day="1")
    provider.enqueue(Script(text="Hi", hold_after=1))

    async def scenario() -> None:
        begun = await road.sent(road.ask(other, "Hello"))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        disable = {"users": [alice], "by": "staff", "reason": "", "until": None, "now": timezone.now()}
        await asyncio.to_thread(enforcement.disable, **disable)
        provider.release()
        await road.told(begun.message)
        await asyncio.gather(*titles._running)

    road.run(scenario())
    assert len(provider.requests) == 2
    assert road.differences() == []


def test_a_model_that_thinks_is_not_asked(
    conversation: Conversation, provider: ScriptedProvider, prices: dict[str, Price]
) -> None:
    Price.objects.filter(model="gpt-4o-mini").update(takes_temperature=False)
    talk(conversation, "Hello")
    assert len(provider.requests) == 1


def test_a_call_whose_process_died_is_settled(conversation: Conversation, alice: User) -> None:
    now = timezone.now()
    message = conversation.messages.create(depth=0, role="user", content="Hello", created_at=now)
    answer = conversation.messages.create(parent=message, depth=1, role="assistant", content="Hi", created_at=now)
    order = titles._order(answer.pk, now)
    assert order is not None
    assert titles._order(answer.pk, now) is None  # once in a conversation's life
    assert titles.recover(now=now + titles.ABANDONED) == 0
    Conversation.objects.filter(pk=conversation.pk).update(deleted_at=now - timedelta(days=1))
    assert lifecycle.purge(now=now) == 0  # its call is not settled yet
    assert titles.recover(now=now + titles.ABANDONED + timedelta(seconds=1)) == 1
    assert recover_titles() == 0
    record = UsageRecord.objects.get()
    assert (record.state, record.outcome, record.measured) == ("settled", "interrupted", "estimated")
    assert (record.input_tokens, record.output_tokens) == (record.input_bound, record.output_cap)
    assert 0 < record.cost <= record.hold
    assert lifecycle.purge(now=now) == 1
    assert road.differences() == []


def test_one_that_cannot_be_settled_keeps_no_other_from_it(conversation: Conversation, bob: User) -> None:
    now = timezone.now()
    for own in (conversation, make_conversation(bob)):
        question = own.messages.create(depth=0, role="user", content="Hello", created_at=now)
        answer = own.messages.create(parent=question, depth=1, role="assistant", content="Hi", created_at=now)
        assert titles._order(answer.pk, now) is not None
    BudgetPeriod.objects.filter(budget__user=conversation.user).update(held=0)  # books that are out of order
    assert titles.recover(now=now + titles.ABANDONED + timedelta(seconds=1)) == 1
    assert UsageRecord.objects.get(state="settled").user == bob


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Hello", "Hello"),
        ("  Hello\n\nthere  ", "Hello there"),
        ("", ""),
        ("x" * 100, "x" * 59 + "…"),
        ("one two " * 20, "one two one two one two one two one two one two one two one…"),
        ("one two, " * 20, "one two, one two, one two, one two, one two, one two, one…"),
        ("one twos, " * 20, "one twos, one twos, one twos, one twos, one twos, one twos…"),
        ("長い質問" * 30, ("長い質問" * 30)[:59] + "…"),
    ],
)  # fmt: skip
def test_first_words_are_cut_between_words(content: str, title: str) -> None:
    assert first_words(content) == title
    assert len(first_words(content)) <= 60


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("“Trip”.", "Trip"),
        ("\n Title: **Trip to Peru**\nMore", "Trip to Peru"),
        ("```", ""),
        ("Was ist C#?", "Was ist C#?"),
        ("The best way to take the train to Cusco is PeruRail.", ""),
    ],
)
def test_what_a_model_says_is_cleaned(said: str, title: str) -> None:
    assert titles._cleaned(said) == title


def test_the_name_shows_in_the_other_tabs(
    enter: Callable[..., Any], start_web: Callable[..., Any], alice: User, provider: ScriptedProvider
) -> None:
    web = start_web(CHAT_TITLES="true")
    person = enter(alice).at(web)
    conversation = person.new_conversation()
    provider.enqueue(Script(text="Hi"))
    provider.enqueue(Script(text="A name"))
    with person.tabs() as tab:
        person.post(f"conversations/{conversation}/messages/", {"content": "Hello"})
        event = tab.until(lambda event: event["type"] == "conversation")
        assert (event["change"], event["conversation"]["title"]) == ("changed", "A name")
        assert tab.until(lambda event: event["type"] == "budget")
    assert person.get(f"conversations/{conversation}/").json()["title"] == "A name"
    assert person.get(f"conversations/{conversation}/usage/").json()["calls"] == 2
