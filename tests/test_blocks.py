"""Blocks along the whole road: rendered once, sent to who asks for them, and the same as the whole text's HTML."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from accounts.models import User
from conversations.models import Message
from conversations.rendering import render
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.test_rendering_blocks import ANSWER

LONG = "First 😀.\n\n```python\n" + "value = 12  # and a word\n" * 60 + "```\n\nLast 👩‍👩‍👧 words.\n\n"


@pytest.fixture
def owner(enter: Callable[..., Person], alice: User) -> Person:
    return enter(alice)


def path(conversation: str) -> str:
    return f"conversations/{conversation}/messages/"


def pieces(text: str, seed: int) -> tuple[str, ...]:
    """A text in deltas, cut anywhere."""
    source = random.Random(seed)
    places = sorted(source.sample(range(1, len(text)), min(len(text) - 1, source.choice([3, 30, 300]))))
    return tuple(text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True))


def blocks_of(events: list[dict[str, Any]], start: int = 0) -> list[dict[str, Any]]:
    """The blocks among a reply's events; each follows the one before, and no block is there before its text."""
    made: list[dict[str, Any]] = []
    end = 0
    for event in events:
        if event["type"] == "delta":
            end = max(end, event["end"])
        elif event["type"] == "block":
            assert set(event) == {"type", "message_id", "start", "end", "html"}
            assert event["start"] == (made[-1]["end"] if made else start)
            assert event["start"] < event["end"] <= end
            made.append(event)
    return made


def html(blocks: list[dict[str, Any]]) -> str:
    return "".join(block["html"] for block in blocks)


def check(events: list[dict[str, Any]], text: str) -> None:
    """What a page shows of an answer is what the whole text is rendered as; only the open block comes at the end."""
    made = blocks_of(events)
    stored = events[-1]["message"]
    assert (stored["content"], stored["html"]) == (text, render(text))
    assert stored["html"].startswith(html(made))
    assert stored["html"].removeprefix(html(made)) == render(text[made[-1]["end"] if made else 0 :])


def test_any_split_makes_the_blocks_of_the_whole_text(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    with owner.socket(conversation, query="?blocks=0") as tab, owner.socket(conversation) as program:
        for seed in range(8):
            text = (ANSWER, LONG)[seed % 2]
            provider.enqueue(Script(deltas=pieces(text, seed), delay_between=0.0005))
            tab.tell(type="send", key=f"k{seed}", content="Go on")
            started = tab.until(lambda event: event["type"] == "started")
            seen = tab.ended(started["message"]["id"])
            check(seen.events, text)
            assert len(blocks_of(seen.events)) >= 2
            assert program.ended(started["message"]["id"]).kinds == ["started", "delta", "done"]


def test_a_tab_that_comes_later_has_the_blocks_from_its_place_on(owner: Person, provider: ScriptedProvider) -> None:
    text = ANSWER * 2
    provider.enqueue(Script(deltas=pieces(text, 5), delay_between=0.002, hold_after=len(pieces(text, 5)) * 2 // 3))
    conversation = owner.new_conversation()
    with owner.stream("POST", f"{path(conversation)}?blocks=0", json={"content": "Hello"}) as stream:
        seen = stream.until(lambda seen: len(blocks_of(seen.events)) == 6)
        message_id, known = seen.started["message"]["id"], blocks_of(seen.events)
        places = [0, known[0]["end"], known[3]["end"]]
        with ExitStack() as stack:
            late, lost = (
                [
                    stack.enter_context(
                        owner.stream("GET", f"messages/{message_id}/events/?from={start}&blocks={place}")
                    )
                    for start, place in pairs
                ]
                for pairs in ([(seen.end, place) for place in places], [(0, 3), (0, 10**9)])
            )
            provider.wait_until(lambda bill: bill.waiting == 1)  # released before, it would wait for ever
            provider.release()
            check(stream.until(lambda seen: seen.ended, seen).events, text)
            made = blocks_of(seen.events)
            assert len(made) > len(known)
            for place, events in zip(places, late, strict=True):
                found = [{"type": "delta", "end": len(text)}, *events.rest]
                assert blocks_of(found, place) == [block for block in made if block["start"] >= place]
            for events in lost:  # no block ends there: the text comes, and whatever blocks come are no danger
                found = events.rest
                assert "".join(event["content"] for event in found if event["type"] == "delta") == text
                assert found[-1]["type"] == "done"
    with owner.stream("GET", f"messages/{message_id}/events/?blocks=0") as events:
        assert [event["type"] for event in events.rest] == ["delta", "done"]  # it holds all the HTML


@pytest.mark.parametrize("place", ["-1", "1.5", "x", "9" * 11, ""])
def test_a_place_that_is_none_is_refused_before_anything_begins(
    owner: Person, provider: ScriptedProvider, place: str
) -> None:
    conversation = owner.new_conversation()
    response = owner.post(
        f"{path(conversation)}?blocks={place}", {"content": "Hello"}, headers={"Accept": "text/event-stream"}
    )
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert set(response.json()["error"]["fields"]) == {"blocks"}
    assert not Message.objects.exists()
    assert provider.requests == []


def test_a_stopped_and_a_failed_answer_keep_their_blocks(owner: Person, provider: ScriptedProvider) -> None:
    conversation = owner.new_conversation()
    provider.enqueue(
        Script(deltas=("One *two*.\n", "\nThr", "ee *fo"), hold_after=3), Script(text=ANSWER, cut_after=60)
    )
    with owner.socket(conversation, query="?blocks=0") as tab:
        tab.tell(type="send", key="k1", content="Hello")
        message_id = tab.until(lambda event: event["type"] == "block")["message_id"]
        provider.wait_until(lambda bill: bill.waiting == 1)
        while tab.seen[message_id].end < len("One *two*.\n\nThree *fo"):
            tab.next()
        tab.tell(type="stop", message_id=message_id)
        check(tab.ended(message_id).events, "One *two*.\n\nThree *fo")
        tab.tell(type="send", key="k2", content="Hello")
        failed = tab.ended(tab.until(lambda event: event["type"] == "started")["message"]["id"])
    stored = Message.objects.get(pk=failed.started["message"]["id"])
    assert (stored.status, stored.html) == ("failed", render(failed.text))
    assert blocks_of(failed.events)
    assert stored.html.startswith(html(blocks_of(failed.events)))
