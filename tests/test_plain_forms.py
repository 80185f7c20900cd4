"""Sending without scripts: a form that waits, one call however often it is sent, and no text lost by a refusal."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from accounts.models import User
from conversations.models import Conversation, Message
from tests import road
from tests.calls import limit
from tests.people import Person
from tests.provider import Script, ScriptedProvider


@pytest.fixture
def person(enter: Callable[..., Person], alice: User, session_cookie: Callable[..., Any]) -> Person:
    return enter(alice, cookie=session_cookie(alice))


def form_of(html: str) -> tuple[str, dict[str, str]]:
    """Where the page's form goes, and what its hidden fields hold."""
    form = re.search(r'<form class="composer.*?</form>', html, re.DOTALL)
    assert form is not None
    action = re.search(r'action="([^"]*)"', form[0])
    assert action is not None
    return action[1], dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[0]))


def submit(person: Person, page: str, **fields: str) -> httpx2.Response:
    """Fill in the form of a page and press Send, as a browser without scripts does."""
    action, hidden = form_of(person.http.get(page).text)
    headers = {"Origin": person.web.url, "X-CSRFToken": ""}
    return person.http.post(action, data={**hidden, "tier": "fast", **fields}, headers=headers)


def test_a_new_chat_and_a_second_message(person: Person, provider: ScriptedProvider) -> None:
    provider.set_default(Script(text="An **answer**"))
    sent = submit(person, "/", content="Hello\r\nthere")
    assert sent.status_code == 303
    conversation = Conversation.objects.get()
    question, reply = conversation.messages.order_by("depth")
    assert (question.content, conversation.title, conversation.tier) == ("Hello\nthere", "Hello there", "fast")
    assert sent.headers["Location"] == f"/c/{conversation.pk}/#by-{reply.pk}"
    html = person.http.get(sent.headers["Location"]).text
    assert "<strong>answer</strong>" in html
    assert f'id="by-{reply.pk}"' in html
    again = submit(person, f"/c/{conversation.pk}/", content="More", tier="smart")
    assert again.status_code == 303
    assert [message.tier for message in conversation.messages.filter(role="assistant").order_by("depth")] == [
        "fast", "smart",
    ]  # fmt: skip
    assert road.differences() == []


def test_the_same_form_twice_is_one_call(person: Person, provider: ScriptedProvider) -> None:
    action, hidden = form_of(person.http.get("/").text)
    provider.enqueue(Script(text="Slow answer", delay_between=0.2))
    data = {**hidden, "content": "Hello", "tier": "fast"}
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: person.http.post(action, data=data, headers={"X-CSRFToken": ""}), range(2)))
    assert {answer.status_code for answer in answers} == {303}
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert len(provider.requests) == 1
    assert Conversation.objects.count() == 1


def test_a_refusal_keeps_the_text_and_the_key(person: Person, alice: User, provider: ScriptedProvider) -> None:
    limit(user=alice, day="0")
    action, hidden = form_of(person.http.get("/").text)
    data = {**hidden, "content": "\nKeep <this> & that", "tier": "smart"}
    refused = person.http.post(action, data=data, headers={"X-CSRFToken": ""})
    assert refused.status_code == 402
    assert "has no room for this message" in refused.text
    assert "Keep &lt;this&gt; &amp; that</textarea>" in refused.text
    assert re.search(r'value="smart" checked', refused.text)
    again, kept = form_of(refused.text)
    assert (again, kept["key"], kept["conversation"]) == (action, hidden["key"], hidden["conversation"])
    assert not Conversation.objects.exists()
    limit(user=alice, day="1")
    action, hidden = form_of(refused.text)
    assert person.http.post(action, data={**hidden, "content": "Now", "tier": "fast"}).status_code == 303
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("content", "status", "words"), [(" ", 400, "cannot be sent as it is"), ("word " * 9000, 400, "too long")]
)
def test_a_message_that_cannot_be_sent(person: Person, content: str, status: int, words: str) -> None:
    answer = submit(person, "/", content=content)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert not Conversation.objects.exists()


def test_a_failed_answer_is_shown_where_it_stands(person: Person, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(status=400))
    sent = submit(person, "/", content="Hello")
    assert sent.status_code == 303
    assert "refused this message" in person.http.get(sent.headers["Location"]).text


def test_only_ones_own_and_only_signed_in(
    person: Person, enter: Callable[..., Person], bob: User, session_cookie: Callable[..., Any], provider: Any
) -> None:
    submit(person, "/", content="Hello")
    conversation = Conversation.objects.get()
    other = enter(bob, cookie=session_cookie(bob))
    _, hidden = form_of(other.http.get("/").text)
    data = {**hidden, "content": "x", "tier": "fast"}
    headers = {"X-CSRFToken": ""}
    assert other.http.post(f"/c/{conversation.pk}/send/", data=data, headers=headers).status_code == 404
    data["conversation"] = str(conversation.pk)
    assert other.http.post("/send/", data=data, headers=headers).status_code == 404
    data["conversation"] = "nonsense"
    assert other.http.post("/send/", data=data, headers=headers).status_code == 303
    assert Message.objects.filter(conversation=conversation).count() == 2
    assert other.http.post("/send/", data={"content": "x"}, headers=headers).status_code == 403
    assert other.http.get("/send/").status_code == 405
    nobody = httpx2.Client(base_url=person.web.url, trust_env=False)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]*)"', nobody.get("/accounts/login/").text)
    assert token is not None
    sent = nobody.post(f"/c/{uuid.uuid4()}/send/", data={"csrfmiddlewaretoken": token[1], "content": "x"})
    assert sent.status_code == 302
    assert sent.headers["Location"].startswith("/accounts/login/")
