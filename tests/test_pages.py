"""The server's side of the pages: what they show, to whom, and with how many queries."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from accounts.models import User
from billing import limiting
from billing.models import Account, Budget, Price
from tests.talks import make_call, make_conversation, reply_of

CHAT_QUERIES = (
    13  # session, user, conversation, messages, versions, cost, prices (2), pinned, list, budgets, account, groups
)
NEW_CHAT_QUERIES = 9

Queries = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.mark.parametrize("path", ["/", "/?q=x", "/c/01a20f24-5682-756e-8aca-fe81d6cb7b3f/", "/side/", "/usage/"])
def test_nobody_is_sent_to_sign_in(client: Client, db: None, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/login/",
        "/accounts/signup/",
        "/accounts/password/reset/",
        "/accounts/password/reset/done/",
        "/accounts/password/reset/key/1-nonsense/",
        "/accounts/password/reset/key/done/",
        "/accounts/inactive/",
        "/accounts/confirm-email/",
        "/accounts/confirm-email/nonsense/",
    ],
)
def test_doors_open_for_anyone_and_run_no_inline_code(client: Client, db: None, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    check_page(response.content.decode())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/usage/",
        "/accounts/email/",
        "/accounts/password/change/",
        "/accounts/logout/",
        "/accounts/reauthenticate/",
    ],
)
def test_pages_of_a_new_user_run_no_inline_code(signed_in: Client, prices: dict[str, Price], path: str) -> None:
    response = signed_in.get(path)
    assert response.status_code == 200
    check_page(response.content.decode())


def check_page(html: str) -> None:
    """One h1, our stylesheet, and nothing that a strict Content-Security-Policy would block."""
    assert html.count("<h1") == 1
    assert "look" in html
    assert "<style" not in html
    assert " style=" not in html
    assert " onclick=" not in html
    for script in html.split("<script")[1:]:
        assert " src=" in script.split(">")[0]


def test_an_address_that_leads_nowhere_says_so_in_our_look(client: Client, db: None) -> None:
    response = client.get("/nowhere/")
    assert response.status_code == 404
    check_page(response.content.decode())


def test_a_conversation_shows_its_messages_as_text_and_as_markdown(signed_in: Client, alice: User) -> None:
    conversation = make_conversation(alice, messages=2, title="Title & more")
    html = signed_in.get(f"/c/{conversation.pk}/").content.decode()
    question, answer = conversation.messages.order_by("depth")
    assert f'data-message-id="{question.pk}" data-role="user" data-status="complete"' in html
    assert f'data-message-id="{answer.pk}" data-role="assistant" data-status="complete"' in html
    assert '<div class="body" data-content><p>text 0 &lt;b&gt;&amp;</p></div>' in html
    assert '<div class="body" data-content><p>text 1 &lt;b&gt;&amp;</p>' in html
    assert "Title &amp; more" in html
    check_page(html)


def test_the_controls_have_the_names_that_people_hear(signed_in: Client) -> None:
    html = signed_in.get("/").content.decode()
    assert '<label class="vh" for="text">Message</label>' in html
    assert html.count("</svg> Send</button>") == html.count("</svg> Stop</button>") == 1


def test_the_tiers_go_by_their_models_own_names(signed_in: Client, prices: dict[str, Price], settings: Any) -> None:
    settings.CHAT_MODELS = {"fast": "gpt-4o-mini", "smart": "gpt-4o"}
    html = signed_in.get("/").content.decode()
    assert "gpt-4o-mini, for most questions" in html
    assert "gpt-4o, about 17 times the price" in html
    Price.objects.create(
        model="local", effective_from=timezone.now() - timedelta(days=1), source="demo", tokenizer="bytes",
        input_price=1, cached_input_price=1, cache_write_price=1, output_price=1, context_window=4096,
    )  # fmt: skip
    settings.CHAT_MODELS = {"fast": "local", "smart": "local"}
    html = signed_in.get("/").content.decode()
    assert html.count("local, demo price, nobody is charged") == 2


def test_a_conversation_of_another_is_not_there(signed_in: Client, bob: User) -> None:
    conversation = make_conversation(bob, messages=2, title="Bob's own")
    response = signed_in.get(f"/c/{conversation.pk}/")
    assert response.status_code == 404
    assert escape("Bob's own") not in response.content.decode()
    for path in ("/", "/?q=Bob", f"/side/?c={conversation.pk}"):
        html = signed_in.get(path).content.decode()
        assert str(conversation.pk) not in html
        assert 'data-part="cost"' not in html or path == "/"


def test_the_chat_page_takes_as_many_queries_for_2000_messages_as_for_10(
    signed_in: Client, alice: User, prices: dict[str, Price], django_assert_num_queries: Queries
) -> None:
    small, large = make_conversation(alice, messages=10), make_conversation(alice, messages=2000)
    signed_in.get("/")  # makes alice's budgets
    for conversation, shown in ((small, 10), (large, 50)):
        cache.clear()
        with django_assert_num_queries(CHAT_QUERIES):
            html = signed_in.get(f"/c/{conversation.pk}/").content.decode()
        assert html.count("data-message-id=") == shown + 2  # and the two templates for new ones


def test_the_list_takes_as_many_queries_for_200_conversations_as_for_1(
    signed_in: Client, alice: User, prices: dict[str, Price], django_assert_num_queries: Queries
) -> None:
    make_conversation(alice, title="One")
    signed_in.get("/")
    with django_assert_num_queries(NEW_CHAT_QUERIES):
        assert signed_in.get("/").content.decode().count('<li><a href="/c/') == 1
    for number in range(199):
        make_conversation(alice, title=f"Talk {number}")
    with django_assert_num_queries(NEW_CHAT_QUERIES):
        html = signed_in.get("/").content.decode()
    assert html.count('<li><a href="/c/') == 50
    assert "Older conversations" in html


def test_every_conversation_is_on_one_page_of_the_list(signed_in: Client, alice: User) -> None:
    same = timezone.now() - timedelta(days=3)
    made = {str(make_conversation(alice, title="x", at=same).pk) for _ in range(120)}
    found: list[str] = []
    address = "/?q=X"
    while address:
        html = signed_in.get(address).content.decode().split('class="col found"')[1]
        found += [part.split("/")[0] for part in html.split('href="/c/')[1:]]
        cursor = html.partition('<p><a href="/?q=X&amp;before=')[2].partition('"')[0]
        address = f"/?q=X&before={cursor}" if cursor else ""
    assert sorted(found) == sorted(made)


@pytest.mark.parametrize("cursor", ["x", "2026-11-24_x", "2026-11-24T10:00:00_", "_", "2026-11-24T10:00:00+00:00"])
def test_a_cursor_that_fits_nothing_is_ignored(signed_in: Client, alice: User, cursor: str) -> None:
    make_conversation(alice, title="Here")
    assert "Here" in signed_in.get("/", {"q": "here", "before": cursor}).content.decode()


def test_the_list_is_grouped_by_day(signed_in: Client, alice: User) -> None:
    now = timezone.now()
    for days, title in ((0, "a"), (1, "b"), (400, "c")):
        make_conversation(alice, title=title, at=now - timedelta(days=days))
    make_conversation(alice, title="put away", archived=True)
    html = signed_in.get("/").content.decode()
    long_ago = now - timedelta(days=400)
    heads = ["<h2>Today</h2>", "<h2>Yesterday</h2>", f"{long_ago:%A} {long_ago.day} {long_ago:%B %Y}</h2>"]
    places = [html.index(head) for head in heads]
    assert places == sorted(places)
    assert "put away" not in html


def test_earlier_messages_follow_page_by_page(signed_in: Client, alice: User) -> None:
    conversation = make_conversation(alice, messages=120)
    first = signed_in.get(f"/c/{conversation.pk}/").content.decode()
    assert 'href="?before=70"' in first
    second = signed_in.get(f"/c/{conversation.pk}/?before=70").content.decode()
    assert second.count("data-message-id=") == 50  # no box to write in, so no templates
    assert "text 69 " in second
    assert "text 70 " not in second
    third = signed_in.get(f"/c/{conversation.pk}/?before=20").content.decode()
    assert third.count("data-message-id=") == 20
    assert "Earlier messages" not in third
    assert "Newest messages" in third


def test_the_cost_stands_under_the_answer(signed_in: Client, alice: User, prices: dict[str, Price]) -> None:
    conversation = make_conversation(alice)
    at = timezone.now()
    record = make_call(alice, prices["gpt-4o-mini"], at=at)
    reply_of(conversation, record, content="Because.", ended_at=at)
    html = signed_in.get(f"/c/{conversation.pk}/").content.decode()
    assert 'gpt-4o-mini · <bdi dir="ltr">1,000 in · 100 out</bdi> · <b>$0.00021</b>' in html
    assert '<span data-part="cost">$0.00021</span>' in html


@pytest.mark.parametrize(
    ("status", "measured", "words"),
    [
        ("stopped", "estimated", ["Stopped by you · gpt-4o-mini", '<b class="est">≈ $0.00021</b> estimated']),
        ("interrupted", "provider", ["Interrupted · gpt-4o-mini", "<b>$0.00021</b>"]),
        ("failed", "estimated", ["Failed · gpt-4o-mini", '<p class="err">It took too long.</p>']),
    ],
)
def test_an_answer_that_is_not_whole_says_why(
    signed_in: Client, alice: User, prices: dict[str, Price], status: str, measured: str, words: list[str]
) -> None:
    conversation, at = make_conversation(alice), timezone.now()
    record = make_call(alice, prices["gpt-4o-mini"], at=at, outcome=status, measured=measured)
    error = {"code": "provider_timeout", "message": "It took too long."} if status == "failed" else None
    reply_of(conversation, record, content="Bec", status=status, ended_at=at, error=error)
    html = signed_in.get(f"/c/{conversation.pk}/").content.decode()
    for word in words:
        assert word in html


def test_an_answer_that_a_filter_ended_says_so(signed_in: Client, alice: User, prices: dict[str, Price]) -> None:
    conversation, at = make_conversation(alice), timezone.now()
    record = make_call(alice, prices["gpt-4o-mini"], at=at)
    reply_of(conversation, record, content="Bec", finish_reason="content_filter", ended_at=at)
    html = signed_in.get(f"/c/{conversation.pk}/").content.decode()
    assert "Ended by the provider's content filter · gpt-4o-mini" in html


@pytest.mark.parametrize(("status", "said"), [("complete", 1), ("stopped", 1), ("failed", 0), ("generating", 0)])
def test_an_answer_without_text_is_not_blank(
    signed_in: Client, alice: User, prices: dict[str, Price], status: str, said: int
) -> None:
    conversation, at = make_conversation(alice), timezone.now()
    runs = status == "generating"
    record = make_call(alice, prices["gpt-4o-mini"], at=at, settled=not runs)
    lease = (
        {"lease_owner": conversation.pk, "lease_expires_at": at + timedelta(minutes=1)} if runs else {"ended_at": at}
    )
    error = {"code": "provider_timeout", "message": "It took too long."} if status == "failed" else None
    reply_of(conversation, record, content=" \n", status=status, error=error, **lease)
    html = signed_in.get(f"/c/{conversation.pk}/").content.decode()
    assert html.count("The model gave no text.") == said


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"])
def test_what_describes_a_field_is_there(client: Client, db: None, path: str) -> None:
    html = client.get(path).content.decode()
    for places in re.findall(r'aria-describedby="([^"]+)"', html):
        for place in places.split():
            assert f'id="{place}"' in html


def test_amber_is_for_what_is_not_well(signed_in: Client) -> None:
    html = signed_in.post("/accounts/profile/", {"name": "Alice L."}, follow=True).content.decode()
    assert '<p class="note good">Your profile was saved.</p>' in html


def test_a_running_answer_has_stop_and_says_what_is_held(
    signed_in: Client, alice: User, prices: dict[str, Price]
) -> None:
    conversation, at = make_conversation(alice), timezone.now()
    record = make_call(alice, prices["gpt-4o-mini"], at=at, settled=False)
    reply_of(
        conversation,
        record,
        status="generating",
        lease_owner=conversation.pk,
        lease_expires_at=at + timedelta(minutes=1),
    )
    html = signed_in.get(f"/c/{conversation.pk}/").content.decode()
    assert 'data-status="generating"' in html
    assert '<p class="open"><span><span class="caret"></span></span></p>' in html
    assert "gpt-4o-mini · at most <b>$0.00045</b> held" in html
    assert 'id="send-message" type="submit" hidden' in html
    assert 'id="stop-reply" type="button" hidden' not in html


def test_who_has_nothing_left_reads_when_it_opens_again(signed_in: Client, alice: User, settings: Any) -> None:
    limiting.set_limit(user=alice, period=Budget.Period.DAY, limit=0)
    html = signed_in.get("/").content.decode()
    assert "Nothing is left in your daily budget of $0.00." in html
    assert settings.ADMINISTRATOR_EMAIL in html
    assert 'id="note" role="note" data-standing>' in html


def test_who_is_disabled_reads_why(signed_in: Client, alice: User) -> None:
    Account.objects.create(user=alice, disabled_by="staff", disabled_at=timezone.now(), reason="On leave.")
    html = signed_in.get("/").content.decode()
    assert "On leave." in html
    assert 'id="note" role="note" data-standing>' in html


def test_the_side_says_what_has_changed(signed_in: Client, alice: User, prices: dict[str, Price]) -> None:
    conversation = make_conversation(alice, title="Now")
    reply_of(conversation, make_call(alice, prices["gpt-4o"], at=timezone.now()), content="x", ended_at=timezone.now())
    html = signed_in.get(f"/side/?c={conversation.pk}").content.decode()
    assert f'href="/c/{conversation.pk}/" aria-current="page"' in html
    assert '<div data-part="cost">$0.00350</div>' in html
    assert "$0.01 of $1.00" in html
    assert '<div data-part="left-short">$0.99</div>' in html


def test_signing_up_leads_to_the_chat_and_its_budget(client: Client, prices: dict[str, Price]) -> None:
    form = {"email": "new@example.com", "password1": "a good long one 7", "password2": "a good long one 7"}
    response = client.post("/accounts/signup/", form, follow=True)
    assert response.redirect_chain[-1][0] == "/"
    html = response.content.decode()
    assert "What are you working on?" in html
    assert "$0.00 of $1.00" in html


def test_a_form_with_a_mistake_says_so_beside_the_field(client: Client, db: None) -> None:
    html = client.post(
        "/accounts/signup/", {"email": "new@example.com", "password1": "short", "password2": "short"}
    ).content.decode()
    assert '<p class="err small" id="id_password1_error">' in html
    html = client.post("/accounts/login/", {"login": "new@example.com", "password": "wrong"}).content.decode()
    assert 'class="note" role="alert"' in html
