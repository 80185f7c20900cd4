"""In which language a person is spoken to: on pages, in errors, over sockets, in mails."""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import allauth
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone, translation

from accounts import language, sessions
from accounts.errors import NotFound
from accounts.models import User
from billing import notices, thresholds
from billing.models import Notice, Price
from conversations.models import Message
from tests.calls import NOON, limit, make_price, spend
from tests.conftest import PASSWORD
from tests.mail import MailServer
from tests.people import Person
from tests.provider import Script, ScriptedProvider

NOT_YOURS = "Hier gibt es nichts, oder es gehört Ihnen nicht."
CUT = "Die Antwort wurde an der Grenze ihrer Länge abgeschnitten."
DU = r"\b([Dd]u|[Dd]ich|[Dd]ir|[Dd]eine?[mnrs]?)\b"
GERMAN = {"Accept-Language": "de-AT,en;q=0.5"}


def come_in(user: User, **headers: str) -> Client:
    client = Client(headers=headers)
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    return client


def spoken(client: Client) -> str:
    html = client.get("/accounts/profile/").content.decode()
    return html.partition('<html lang="')[2].partition('"')[0]


@pytest.mark.django_db
def test_whoever_has_not_signed_in_chooses_for_this_browser() -> None:
    client = Client(headers={"Accept-Language": "fr"})
    page = client.get("/accounts/login/")
    assert '<html lang="en" dir="ltr">' in page.content.decode()
    chosen = client.post("/language/", {"language": "de", "next": "/accounts/login/?next=/usage/"})
    assert (chosen.status_code, chosen.headers["Location"]) == (302, "/accounts/login/?next=/usage/")
    html = client.get("/accounts/login/").content.decode()
    assert '<html lang="de" dir="ltr">' in html
    assert "Mit einem Passkey anmelden" in html
    assert 'value="de" lang="de" aria-pressed="true">Deutsch</button>' in html
    away = client.post("/language/", {"language": "xx", "next": "https://elsewhere.example/"})
    assert away.headers["Location"] == "/"
    assert client.cookies["django_language"].value == "de"
    assert Client(enforce_csrf_checks=True).post("/language/", {"language": "de"}).status_code == 403


@pytest.mark.django_db
def test_a_choice_stays_with_the_account_and_comes_along_to_other_browsers(alice: User, bob: User) -> None:
    client = come_in(alice, **GERMAN)
    alice.refresh_from_db()
    assert (alice.language, alice.browser_language, language.of(alice)) == ("", "de", "de")
    saved = client.post("/accounts/profile/", {"name": "Alice", "language": "en"}, follow=True)
    assert "Your profile was saved." in saved.content.decode()
    alice.refresh_from_db()
    assert (spoken(client), alice.language, language.of(alice)) == ("en", "en", "en")
    other = come_in(alice, **GERMAN)
    assert spoken(other) == "en"
    assert client.post("/accounts/profile/", {"name": "Alice", "language": "xx"}).status_code == 400
    back = client.post("/accounts/profile/", {"name": "Alice", "language": ""}, follow=True)
    assert "Ihr Profil wurde gespeichert." in back.content.decode()
    assert spoken(client) == "de"
    bob.refresh_from_db()
    assert (bob.language, spoken(come_in(bob))) == ("", "en")


@pytest.mark.django_db
def test_errors_follow_who_asks_and_codes_do_not(alice: User, client: Client) -> None:
    client.force_login(alice)
    for headers, sentence in (({}, str(NotFound())), (GERMAN, NOT_YOURS), ({"Accept-Language": "*"}, str(NotFound()))):
        answer = client.get("/api/nothing/", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert answer.json()["error"]["message"] == sentence
    sent = {**GERMAN, "Content-Length": "9999999"}
    long = client.post("/api/quote/", "x", content_type="application/json", headers=sent)
    assert long.json()["error"]["message"].startswith("Höchstens 1,048,576 Byte")
    page = client.get("/c/01a20f24-5682-756e-8aca-fe81d6cb7b3f/", headers=GERMAN)
    assert "<h1>Hier gibt es nichts</h1>" in page.content.decode()
    client.cookies["django_language"] = "de"
    assert client.get("/api/nothing/", headers={"Accept-Language": "en"}).json()["error"]["message"] == NOT_YOURS


@pytest.fixture
def both(enter: Callable[..., Person], alice: User) -> tuple[Person, Person]:
    """Alice at two devices: one that speaks German, and one that speaks English."""
    german, english = enter(alice), enter(alice)
    german.headers.update(GERMAN)
    return german, english


def test_each_socket_speaks_its_own_language(
    both: tuple[Person, Person], enter: Callable[..., Person], bob: User, provider: ScriptedProvider
) -> None:
    conversation, others = both[0].new_conversation(), enter(bob).new_conversation()
    with both[0].socket(others) as stranger:
        refused = stranger.next()["error"]
    assert (refused["code"], refused["message"]) == ("not_found", NOT_YOURS)
    provider.enqueue(Script(text="cut off here", finish_reason="length"))
    with both[0].socket(conversation) as german, both[1].socket(conversation) as english:
        german.tell(type="send", key="k1", content="Hello there")
        for tab, sentence in ((german, CUT), (english, "The answer was cut off at the limit of its length.")):
            warning = tab.until(lambda event: event["type"] == "warning")
            assert (warning["code"], warning["message"]) == ("truncated", sentence)
            assert tab.next()["type"] == "done"
        frames = ((english, "A frame is one JSON object."), (german, "Ein Frame ist ein JSON-Objekt."))
        for tab, sentence in (*frames, *frames):
            tab.connection.send("nonsense")
            assert tab.refused()["message"] == sentence


def test_why_a_reply_failed_is_said_in_the_language_of_each_who_reads_it(
    both: tuple[Person, Person], provider: ScriptedProvider
) -> None:
    owner = both[1]
    conversation = owner.new_conversation()
    provider.enqueue(Script(status=400))
    path, body = f"conversations/{conversation}/messages/", {"content": "Hello there"}
    told = owner.post(path, body, headers=GERMAN).json()["error"]
    german = "Der Anbieter lehnt diese Nachricht so ab. Ändern Sie sie, und senden Sie sie noch einmal."
    english = "The provider refused this message as it stands. Change it and send it again."
    assert (told["code"], told["message"]) == ("provider_rejected", german)
    message = Message.objects.get(status="failed")
    assert message.error is not None
    assert message.error["message"] == english  # kept as it stands in the code
    for headers, sentence in ((GERMAN, german), ({}, english)):
        with owner.stream("GET", f"messages/{message.pk}/events/", headers=headers) as stream:
            assert stream.until(lambda seen: seen.ended).last["error"]["message"] == sentence


@pytest.mark.django_db
def test_mails_speak_the_language_of_whom_they_go_to(
    alice: User, bob: User, staff: User, settings: Any, mail_server: MailServer
) -> None:
    settings.CHAT_MODELS = {"fast": "test-model", "smart": "test-model"}
    price: Price = make_price()
    User.objects.filter(pk=alice.pk).update(language="de")
    User.objects.filter(pk=bob.pk).update(browser_language="en")
    for user in (alice, bob):
        limit(user=user, day="0.002")
        spend(user=user, price=price, now=NOON)
    with translation.override("de"):  # whoever makes it find out
        thresholds.watch(now=NOON)
    assert notices.send_due(clock=lambda: NOON) == Notice.objects.filter(text__gt="").count()
    by_user = {mail.to[0]: mail for mail in mail_server.mails}
    german, english = by_user[alice.email], by_user[bob.email]
    assert german.subject == "Zu 100% ausgegeben: Ihr Tagesbudget"
    assert "Das Budget beginnt neu am 16. März 2026, 00:00 UTC." in german.text
    assert english.subject == "100% of your daily budget are spent"


@pytest.mark.once("embedded")
@pytest.mark.django_db
def test_allauth_s_mails_and_errors_say_sie(alice: User, mail_server: MailServer) -> None:
    client = Client(headers=GERMAN)
    client.post("/accounts/password/reset/", {"email": alice.email})
    client.post("/accounts/signup/", {"email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD})
    assert notices.send_due(clock=timezone.now) == 2
    reset, confirm = mail_server.mails
    assert "Sie erhalten diese E-Mail, weil Sie oder jemand anderes ein neues Passwort" in reset.text
    assert "Bitte bestätigen Sie Ihre E-Mail-Adresse" in confirm.subject
    assert not any(re.search(DU, mail.text + mail.subject) for mail in (reset, confirm))
    page = Client(headers=GERMAN).post(
        "/accounts/signup/", {"email": "x@example.com", "password1": PASSWORD, "password2": "another"}
    )
    assert "Geben Sie beide Male dasselbe Passwort ein." in page.content.decode()


@pytest.mark.once("embedded")
def test_nothing_of_allauth_s_that_is_used_here_says_du() -> None:
    package = Path(allauth.__file__).parent
    entries = (package / "locale" / "de" / "LC_MESSAGES" / "django.po").read_text().split("\n\n")
    said = gettext.translation("django", package / "locale", ["de"])
    here = [entry for entry in entries if any(_used(place) for place in re.findall(r"^#: (.*?):\d", entry, re.M))]
    words = ["".join(re.findall(r'"(.*)"', _whole(entry))).replace(r"\n", "\n").replace(r"\"", '"') for entry in here]
    du = [text for text in words if re.search(DU, said.gettext(text))]
    assert len(du) > 20
    with translation.override("de"):
        assert [text for text in du if re.search(DU, translation.gettext(text))] == []


def _whole(entry: str) -> str:
    return entry.partition("msgid ")[2].partition("\nmsgstr")[0]


def _used(place: str) -> bool:
    """Whether a text at a place of allauth's can come up: what it is of is on, and we have no page in its stead."""
    away = (
        "idp/",
        "socialaccount/",
        "headless/",
        "openid/",
        "account/email_change",
        "account/phone_",
        "account/signup_by",
    )
    template = place.removeprefix("templates/")
    return not template.startswith(away) and not (settings.BASE_DIR / "templates" / template).exists()


@pytest.mark.django_db
def test_what_is_chosen_on_one_device_comes_to_the_others(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, phone = come_in(alice), come_in(alice)
    assert phone.get("/accounts/profile/").cookies.get("django_language") is None
    desk.post("/accounts/profile/", {"name": "", "language": "de"})
    phone.get("/usage/")
    assert spoken(phone) == "en", "it is not looked at with every request"
    monkeypatch.setattr(sessions, "SEEN_EVERY", timedelta(0))
    phone.get("/usage/")
    assert spoken(phone) == "de"
    assert spoken(desk) == "de"
    phone.post("/accounts/profile/", {"name": "", "language": "en"})
    assert spoken(phone) == "en"
