"""The quote: never below what is then held or charged, cheap, and nothing is written for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.errors import NotFound
from accounts.models import User
from billing import budgets, money, pricing
from billing.models import Price
from conversations import context
from conversations.limits import RateLimited
from conversations.models import Conversation, Message
from conversations.quote import Ask, Quote, quote
from conversations.tokens import tokenizer
from tests import road
from tests.calls import limit
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.provider import tokens as provider_tokens
from tests.provider.bill import cost
from tests.talks import make_conversation

KEYS = {"input_tokens", "max_cost_usd", "fits", "tier", "model", "output_cap", "context", "budget", "refusal"}
PIECES = [
    "hello", " ", "\n\n", "Fußgänger", "統一碼", "🙂", "👩‍👩‍👧", "def f(x):\n    return x\n", "0123456789",
    "aaaaaaaaaaaa",
    "<b>&amp;</b>", "\u202e", "é", "ё", "العربية", "https://example.com/?a=b&c=d", "\t", "<|endoftext|>", "!?!?",
    "x = y²",
]  # fmt: skip


def words(source: random.Random, most: int) -> str:
    return "".join(source.choice(PIECES) for _ in range(source.randint(1, most)))


def quoted(user: User, **fields: Any) -> Quote:
    return asyncio.run(quote(Ask(user=user, **fields), now=timezone.now()))


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: User
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    limit(user=alice, day="100", month="1000")
    return make_conversation(alice)


def test_the_shape_of_the_contract(
    enter: Callable[..., Person], alice: User, provider: ScriptedProvider, prices: dict[str, Price]
) -> None:
    person = enter(alice)
    body = person.post("quote/", {"content": "Hello there", "tier": "smart"}).json()
    assert set(body) == KEYS
    assert (body["fits"], body["tier"], body["model"], body["refusal"]) == (True, "smart", "gpt-4o", None)
    assert body["input_tokens"] == body["context"]["prompt_tokens"] == 9
    assert Decimal(body["max_cost_usd"]) == (9 * Decimal("2.5") + 1000 * Decimal(10)) / 1_000_000
    assert body["context"] == {"prompt_tokens": 9, "limit": 4000, "included_messages": 1, "dropped_messages": 0}
    assert body["output_cap"] == 1000
    assert person.post("quote/", {}).json()["fits"] is True
    assert person.post("quote/", {"content": "x", "tier": "dear"}).status_code == 400
    assert provider.requests == []


@pytest.mark.once("embedded")
def test_nothing_that_is_sent_costs_more_than_was_quoted(
    conversation: Conversation, provider: ScriptedProvider, alice: User
) -> None:
    source = random.Random(5)
    answers: list[Any] = [None]
    for number in range(40):
        tier = source.choice(["fast", "smart", None])
        if source.random() < 0.2:
            Conversation.objects.filter(pk=conversation.pk).update(system_prompt=words(source, 30))
        place = {} if source.random() < 0.5 else {"parent": source.choice(answers)}
        content = words(source, source.choice([5, 80, 600]))
        if number and source.random() < 0.2:
            place, content = {"regenerate": source.choice([pk for pk in answers if pk])}, ""
            place["regenerate"] = Message.objects.get(pk=place["regenerate"]).parent_id
        if not content.strip() and "regenerate" not in place:
            content += "x"
        script = Script(delta_count=source.randint(1, 30), ignore_cap=True) if number % 5 else Script(delta_count=1500)
        provider.enqueue(script)
        said = quoted(alice, conversation_id=conversation.pk, content=content, tier=tier, **place)
        assert said.refusal is None
        message, events = road.whole(road.ask(conversation, content, tier=tier, **place))
        record, row = message.usage_record, provider.wait_idle().rows[-1]
        assert record is not None
        assert message.context == said.context
        assert record.hold == said.most
        assert record.output_cap == said.output_cap
        assert row.input_tokens <= said.context["prompt_tokens"]
        assert road.nano(row) <= said.most
        assert record.cost <= said.most
        assert road.data(events[0])["max_cost_usd"] == said.as_json()["max_cost_usd"]
        answers.append(message.pk)
    assert road.differences() == []


def test_no_prompt_that_fits_is_billed_above_its_bound(prices: dict[str, Price], settings: Any) -> None:
    """Without the road, so that there can be many: what is sent, by the provider's own count and price."""
    source = random.Random(8)
    cap = settings.CHAT_MAX_OUTPUT_TOKENS
    for number in range(1000):
        price = prices[source.choice(list(prices))]
        tokens = tokenizer(price.tokenizer)
        entries = [
            context.Entry(role=role, content=text, tokens=tokens.count(text))
            for role in ("user", "assistant") * source.randint(0, 6)
            for text in [words(source, source.choice([5, 40, 400]))]
        ]
        text = words(source, source.choice([5, 40, 400]))
        fitted = context.fit(
            system_prompt=words(source, 20) if number % 3 else "",
            newest_first=reversed(entries),
            message=context.Entry(role="user", content=text, tokens=tokens.count(text)),
            depth=len(entries),
            limit=4000,
            tokenizer=tokens,
        )
        bound = pricing.worst_case(input_tokens=fitted.prompt_tokens, output_tokens=cap, rates=price)
        counted = provider_tokens.count_messages(fitted.as_messages())
        assert counted <= fitted.prompt_tokens <= 4000
        billed = cost(model=price.model, input_tokens=counted, cached_input_tokens=0, output_tokens=cap)
        assert billed <= money.to_dollars(bound)


def test_a_quote_writes_nothing(conversation: Conversation, alice: User, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="One"))
    first, _ = road.whole(road.ask(conversation, "q1"))
    provider.enqueue(Script(text="Two"))
    road.whole(road.ask(conversation, "another q1", parent=None))
    before = road.everything()
    said = quoted(alice, conversation_id=conversation.pk, content="q2", parent=first.pk)
    assert said.context["included_messages"] == 3
    assert quoted(alice, conversation_id=conversation.pk, regenerate=first.parent_id).context["included_messages"] == 1
    assert road.everything() == before


def test_what_does_not_fit_says_why(conversation: Conversation, alice: User, settings: Any) -> None:
    said = quoted(alice, conversation_id=conversation.pk, content="word " * 5000).as_json()
    assert (said["fits"], said["refusal"]["code"]) == (False, "message_too_long")
    assert said["input_tokens"] == said["refusal"]["token_count"] > said["context"]["limit"]
    limit(user=alice, day="0.00005")
    said = quoted(alice, conversation_id=conversation.pk, content="Hello", tier="smart").as_json()
    assert (said["fits"], said["refusal"]["code"], said["output_cap"]) == (False, "budget_exhausted", 0)
    assert said["budget"]["remaining_usd"] == "0.00005"
    # A useful but shorter answer fits; the bound stays that of a whole one, for there may be more room when it is sent.
    said = quoted(alice, conversation_id=conversation.pk, content="Hello", tier="fast").as_json()
    assert said["fits"]
    assert 64 <= said["output_cap"] < 1000
    message, _ = road.whole(road.ask(conversation, "Hello", tier="fast"))
    assert message.usage_record is not None
    assert message.usage_record.output_cap == said["output_cap"]
    assert message.usage_record.hold < money.to_nano(Decimal(said["max_cost_usd"]))


def test_a_disabled_account_is_told_so(conversation: Conversation, alice: User) -> None:
    from billing import enforcement

    enforcement.disable(users=[alice], by="staff", reason="On leave.", until=None, now=timezone.now())
    assert quoted(alice, content="Hello").as_json()["refusal"]["code"] == "account_disabled"


def test_others_conversations_and_places_are_not_found(conversation: Conversation, alice: User, bob: User) -> None:
    with pytest.raises(NotFound):
        quoted(bob, conversation_id=conversation.pk, content="x")
    with pytest.raises(NotFound):
        quoted(alice, conversation_id=conversation.pk, content="x", parent=conversation.pk)
    with pytest.raises(NotFound):
        quoted(alice, conversation_id=conversation.pk, regenerate=conversation.pk)


def test_quotes_have_a_limit_of_their_own(conversation: Conversation, alice: User, settings: Any) -> None:
    settings.CHAT_RATE_QUOTE = "2/m"
    settings.CHAT_RATE = "1/h"
    for _ in range(2):
        quoted(alice, content="x")
    with pytest.raises(RateLimited, match="2 quotes"):
        quoted(alice, content="x")
    assert road.whole(road.ask(conversation, "x"))[0].status == "complete"


@pytest.mark.parametrize("current", [True, False])
def test_the_longest_conversation_is_quoted_with_as_many_queries(
    conversation: Conversation, alice: User, django_assert_max_num_queries: Any, current: bool
) -> None:
    from conversations.quote import _placed, _quoted

    budgets.standings(user=alice, now=timezone.now())
    long = make_conversation(alice, messages=2000)
    tip = long.messages.get(depth=1999)
    if not current:
        long.messages.update(current=False)

    now = timezone.now()

    def look(of: Conversation, parent: Any) -> None:
        ask = Ask(user=alice, conversation_id=of.pk, content="Hello", parent=parent)
        place = _placed(ask, now)
        said = _quoted(ask, place, place.count(), now)
        assert said.context["dropped_messages"] + said.context["included_messages"] in (1, 2001)

    with django_assert_max_num_queries(7):
        look(conversation, None)
    with django_assert_max_num_queries(20):
        look(long, tip.pk)
