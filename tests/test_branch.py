"""The tree of a conversation: answering again, answering elsewhere, and which branch is the current one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from conversations.models import Conversation, Message
from tests import road
from tests.provider import Script, ScriptedProvider
from tests.talks import make_conversation


@pytest.fixture
def conversation(
    transactional_db: None, settings: Any, provider: ScriptedProvider, prices: object, alice: Any
) -> Conversation:
    settings.OPENAI_BASE_URL = provider.base_url
    return make_conversation(alice)


def said(conversation: Conversation, content: str, answer: str, provider: ScriptedProvider, **fields: Any) -> Message:
    """The answer to a message."""
    provider.enqueue(Script(text=answer))
    message, _ = road.whole(road.ask(conversation, content, **fields))
    assert message.status == "complete"
    return message


def current(conversation: Conversation) -> list[str]:
    """What the current branch says; each of its messages must lie below the one before."""
    branch = list(conversation.messages.current())
    assert [message.depth for message in branch] == list(range(len(branch)))
    assert [message.parent_id for message in branch] == [None, *(message.pk for message in branch[:-1])][: len(branch)]
    return [message.content for message in branch]


def asked(provider: ScriptedProvider) -> list[str]:
    """What the provider was sent last."""
    return [message["content"] for message in provider.requests[-1].body["messages"]]


def test_answering_again_puts_another_answer_beside_the_first(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    said(conversation, "q1", "a1", provider)
    second = said(conversation, "q2", "a2", provider)

    again = said(conversation, "", "a2 again", provider, regenerate=second.parent_id)

    assert asked(provider) == ["q1", "a1", "q2"]
    assert current(conversation) == ["q1", "a1", "q2", "a2 again"]
    assert (again.parent_id, again.depth) == (second.parent_id, second.depth)
    second.refresh_from_db()
    assert (second.current, second.content, second.status) == (False, "a2", "complete")
    assert conversation.messages.count() == 5
    said(conversation, "q3", "a3", provider)
    assert asked(provider) == ["q1", "a1", "q2", "a2 again", "q3"]


def test_an_earlier_question_answered_again_leaves_what_came_after_on_its_branch(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    first = said(conversation, "q1", "a1", provider)
    said(conversation, "q2", "a2", provider)
    said(conversation, "", "a1 again", provider, regenerate=first.parent_id)
    assert asked(provider) == ["q1"]
    assert current(conversation) == ["q1", "a1 again"]


def test_a_message_below_an_earlier_answer_begins_a_branch_there(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    first = said(conversation, "q1", "a1", provider)
    said(conversation, "q2", "a2", provider)
    said(conversation, "q3", "a3", provider)
    said(conversation, "other q2", "other a2", provider, parent=first.pk)
    assert asked(provider) == ["q1", "a1", "other q2"]
    assert current(conversation) == ["q1", "a1", "other q2", "other a2"]


def test_a_message_at_the_beginning_begins_anew(conversation: Conversation, provider: ScriptedProvider) -> None:
    said(conversation, "q1", "a1", provider)
    said(conversation, "other q1", "other a1", provider, parent=None)
    assert asked(provider) == ["other q1"]
    assert current(conversation) == ["other q1", "other a1"]


def test_a_branch_that_was_left_becomes_current_again(conversation: Conversation, provider: ScriptedProvider) -> None:
    first = said(conversation, "q1", "a1", provider)
    left = said(conversation, "q2", "a2", provider)
    said(conversation, "other q1", "other a1", provider, parent=None)
    said(conversation, "q3", "a3", provider, parent=left.pk)
    assert asked(provider) == ["q1", "a1", "q2", "a2", "q3"]
    assert current(conversation) == ["q1", "a1", "q2", "a2", "q3", "a3"]
    said(conversation, "", "a1 again", provider, regenerate=first.parent_id)
    assert current(conversation) == ["q1", "a1 again"]


def test_a_question_whose_answer_failed_is_answered_again(
    conversation: Conversation, provider: ScriptedProvider
) -> None:
    said(conversation, "q1", "a1", provider)
    provider.enqueue(Script(status=400))
    failed, _ = road.whole(road.ask(conversation, "q2"))
    assert failed.status == "failed"
    assert current(conversation) == ["q1", "a1", "q2", ""]
    said(conversation, "q3", "a3", provider)  # and a question after it goes without it
    assert asked(provider) == ["q1", "a1", "q3"]
    said(conversation, "", "a2", provider, regenerate=failed.parent_id)
    assert asked(provider) == ["q1", "a1", "q2"]
    assert current(conversation) == ["q1", "a1", "q2", "a2"]


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_done_one_branch_is_current_and_it_is_the_one_that_was_sent(
    conversation: Conversation, provider: ScriptedProvider, seed: int
) -> None:
    source = random.Random(seed)
    above: dict[Any, list[str]] = {None: []}  # what each answer's branch says, by its id
    questions: dict[Any, list[str]] = {}
    tip: Any = None
    for number in range(12):
        choice = source.choice(["tip", "tip", "parent", "again"])
        answer = f"a{number}"
        if choice == "again" and questions:
            question = source.choice(list(questions))
            branch = questions[question]
            message = said(conversation, "", answer, provider, regenerate=question)
        else:
            parent = tip if choice == "tip" else source.choice(list(above))
            branch = [*above[parent], f"q{number}"]
            place = {} if choice == "tip" else {"parent": parent}
            message = said(conversation, f"q{number}", answer, provider, **place)
            questions[message.parent_id] = branch
        assert asked(provider) == branch
        above[message.pk] = [*branch, answer]
        tip = message.pk
        assert current(conversation) == above[tip]
    assert road.differences() == []
