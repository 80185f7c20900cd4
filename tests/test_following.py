"""Followers: every text exactly once and in order, whatever the hints do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conversations import events, following, log, settling
from conversations.blocks import BlockCutter
from conversations.events import Event
from conversations.following import BEYOND, Follower, follow
from conversations.log import Delta
from conversations.models import Conversation, Message
from conversations.pool import in_database
from conversations.rendering import render
from tests import road
from tests.provider import Script, ScriptedProvider
from tests.provider.client import only_row
from tests.talks import make_call, make_conversation, reply_of

OWNER = uuid.UUID(int=1)


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: Any
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    return make_conversation(alice)


@pytest.fixture
def narrow_layer(settings: Any) -> None:
    """A channel layer that drops every hint which comes while another is unread."""
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1}}
    }


@pytest.fixture
def reply(conversation: Conversation, prices: dict[str, Any]) -> Message:
    """A reply that runs; this test writes it itself."""
    now = timezone.now()
    record = make_call(conversation.user, prices["gpt-4o-mini"], at=now, settled=False)
    return reply_of(
        conversation, record, status="generating", lease_owner=OWNER, lease_expires_at=now + timedelta(hours=1)
    )


async def end(reply: Message, text: str) -> list[Event]:
    """End the reply with a text; the events that tell of it."""
    ending = settling.Ending(status="complete", text=text, finish_reason="length")
    await in_database(settling.end, message=reply, owner=OWNER, ending=ending, now=timezone.now())
    return await in_database(settling.closing, reply.pk, now=timezone.now())


async def written(reply: Message, start: int, content: str) -> Event:
    """Put a piece into the log; the hint that tells of it."""
    piece = Delta(start=start, end=start + len(content), content=content)
    assert await log.home().append(reply.pk, piece, writer=OWNER)
    return events.delta(reply.pk, piece)


def closings(found: list[Event]) -> list[str]:
    """What came beside text, in order; it must be the last that came."""
    kinds = [event.kind for event in found]
    first = next((place for place, kind in enumerate(kinds) if kind != "delta"), len(kinds))
    assert "delta" not in kinds[first:]
    return kinds[first:]


# A follower by itself


@pytest.mark.parametrize("seed", range(8))
def test_hints_may_be_lost_late_and_double(reply: Message, seed: int) -> None:
    source = random.Random(seed)
    words = [source.choice(["word ", "é", "👩‍👩‍👧", "\n\n", "\n\n", "a much longer piece of text "]) for _ in range(25)]
    text = "".join(words)

    async def scenario() -> list[Event]:
        follower = Follower(reply.pk, 0, blocks=0)
        cutter = BlockCutter()
        found: list[Event] = []
        late: list[Event] = []
        await log.home().open(reply.pk)
        end_at = 0
        for word in words:
            hint = await written(reply, end_at, word)
            told = tuple(events.block(reply.pk, source.render()) for source in cutter.feed(word))
            hint = dataclasses.replace(hint, blocks=told)
            end_at = hint.end
            fate = source.choice(["heard", "heard", "lost", "late", "double", "silence"])
            if fate == "late":
                late.append(hint)
            elif fate in ("heard", "double"):
                for _ in range(1 + (fate == "double")):
                    found += await follower.on(hint)
            elif fate == "silence":
                found += await follower.catch_up()
            if late and source.random() < 0.3:
                found += await follower.on(late.pop(source.randrange(len(late))))
        told = await end(reply, text)
        await log.home().close(reply.pk)
        if source.random() < 0.5:
            told = told[1:]  # the warning was lost
        for hint in [*late, *told, *told, *late]:
            found += await follower.on(hint)
        found += await follower.catch_up()
        assert follower.finished
        return found

    found = road.run(scenario())

    assert road.text(found) == text
    assert closings([event for event in found if event.kind != "block"]) in (["warning", "done"], ["done"])
    blocks = [event for event in found if event.kind == "block"]
    assert [block.start for block in blocks] == [0, *(block.end for block in blocks)][: len(blocks)]
    html = "".join(json.loads(block.data)["html"] for block in blocks)
    assert render(text).startswith(html)
    assert html + render(text[blocks[-1].end if blocks else 0 :]) == render(text)


def test_a_follower_that_is_up_to_date_passes_on_without_a_look(reply: Message) -> None:
    follower = Follower(reply.pk, 0)
    hints = [
        events.delta(reply.pk, Delta(start=0, end=5, content="Hello")),
        events.delta(reply.pk, Delta(start=5, end=6, content="!")),
    ]  # neither is in any log

    async def scenario() -> list[list[Event]]:
        return [await follower.on(hint) for hint in (*hints, *hints)]

    assert road.run(scenario()) == [[hints[0]], [hints[1]], [], []]


def test_a_hint_that_overlaps_brings_only_what_is_new(reply: Message) -> None:
    async def scenario() -> list[Event]:
        await log.home().open(reply.pk)
        await written(reply, 0, "Hello there")
        return await Follower(reply.pk, 7).on(events.delta(reply.pk, Delta(start=0, end=11, content="Hello there")))

    (event,) = road.run(scenario())
    assert (event.start, event.end, road.data(event)["content"]) == (7, 11, "here")


@pytest.mark.parametrize("start", [0, 3, 11, 12, 5000, BEYOND])
def test_a_reply_that_has_ended_is_told_from_what_is_stored(reply: Message, start: int) -> None:
    async def scenario() -> list[Event]:
        await end(reply, "Hello there")
        return await road.told(reply, start)

    found = road.run(scenario())
    assert road.text(found, start) == "Hello there"[start:]
    assert closings(found) == ["warning", "done"]
    assert found[-1].end == 11


def test_a_reply_that_is_deleted_is_followed_no_more(reply: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SILENCE_SECONDS", 0.3)

    async def scenario() -> list[Event]:
        following_it = asyncio.create_task(road.told(reply))
        await asyncio.sleep(0.1)
        await in_database(Message.objects.filter(pk=reply.pk).delete)
        return await following_it

    assert road.run(scenario()) == []


# Followers of a reply that is being written


def test_every_follower_sees_all_from_wherever_it_begins(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(delta_count=60, seed=8, hold_after=30, delay_between=0.004))

    async def scenario() -> tuple[Any, dict[int, str], str]:
        begun = await road.sent(road.ask(conversation))
        from_start = asyncio.create_task(road.told(begun.message))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        half = len(provider.bill.rows[0].text)
        places = [0, 1, half - 1, half, half + 40, 100_000, BEYOND]
        others = [asyncio.create_task(road.told(begun.message, place)) for place in places]
        await asyncio.sleep(0.2)
        provider.release()
        whole = road.text(await from_start)
        told = {place: await task for place, task in zip(places, others, strict=True)}
        for found in told.values():
            assert closings(found) == ["done"]
        return begun, {place: road.text(found, place) for place, found in told.items()}, whole

    begun, texts, whole = road.run(scenario())

    assert whole == only_row(provider).text == road.stored(begun.message).content
    assert texts == {place: whole[place:] for place in texts}


def test_the_first_text_comes_at_once_and_the_rest_in_frames(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(delta_count=400, delay_between=0.001))
    _, found = road.whole(road.ask(conversation))
    deltas = [event for event in found if event.kind == "delta"]
    assert deltas[0].end < deltas[-1].end / 2, "the first delta does not wait for others"
    assert len(deltas) < 200, "cost grows with time, not with tokens"


@pytest.mark.usefixtures("narrow_layer")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lost_hints_heal(
    conversation: Conversation, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(following, "SILENCE_SECONDS", 0.3)  # where the last hint is lost, too
    provider.enqueue(Script(delta_count=150, seed=seed, delay_between=0.005))
    source = random.Random(seed)

    async def slowly(message: Message) -> list[Event]:
        found = []
        async for event in follow(message, start=0):
            if event is not None:
                found.append(event)
            await asyncio.sleep(source.choice([0, 0, 0.05, 0.2]))
        return found

    async def scenario() -> tuple[Any, list[list[Event]]]:
        begun = await road.sent(road.ask(conversation))
        return begun, await asyncio.gather(*(slowly(begun.message) for _ in range(4)))

    begun, told = road.run(scenario())

    message = road.stored(begun.message)
    assert message.content == only_row(provider).text
    for found in told:
        assert road.text(found) == message.content
        assert closings(found) == ["done"]


def test_replies_of_other_messages_are_passed_over(conversation: Conversation, provider: ScriptedProvider) -> None:
    first, _ = road.whole(road.ask(conversation, "One"))
    provider.enqueue(Script(delta_count=30, hold_after=10))

    async def scenario() -> tuple[list[Event], list[Event]]:
        begun = await road.sent(road.ask(conversation, "Two"))
        await road.billed(provider, lambda bill: bill.waiting == 1)
        old = await road.told(first)
        following_it = asyncio.create_task(road.told(begun.message))
        await asyncio.sleep(0.1)
        provider.release()
        return old, await following_it

    old, new = road.run(scenario())
    assert {event.message_id for event in old} == {str(first.pk)}
    assert road.text(old) == first.content
    assert road.text(new) == provider.bill.rows[-1].text
