"""Mails that open an account: owed first, whatever the mail server does, sent once, and sealed until then."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import leaving, notices
from billing.models import Notice
from deploy.local.run import free_port
from tests.conftest import PASSWORD
from tests.mail import MailServer
from tests.processes import ROOT, dying_with_parent
from tests.services import Redis
from tests.wire import Wire

pytestmark = [pytest.mark.django_db, pytest.mark.once("embedded")]

RESET, SIGN_UP = "/accounts/password/reset/", "/accounts/signup/"


def sign_up(email: str = "zoe@example.com") -> Client:
    client = Client()
    answer = client.post(SIGN_UP, {"email": email, "password1": PASSWORD, "password2": PASSWORD})
    assert answer.status_code == 302
    return client


def send() -> int:
    return notices.send_due(clock=timezone.now)


def test_a_link_that_resets_a_password_arrives_and_opens_the_page(alice: User, mail_server: MailServer) -> None:
    User.objects.filter(pk=alice.pk).update(name="Älice\r\nBcc: eve@example.com")
    german = Client(headers={"Accept-Language": "de"})
    assert german.post(RESET, {"email": alice.email}).status_code == 302
    assert mail_server.mails == []
    assert send() == 1
    (mail,) = mail_server.mails
    assert (mail.to, mail.message["To"], mail.message["Bcc"]) == ([alice.email], alice.email, None)
    assert mail.subject.strip() == "[testserver] E-Mail zum Zurücksetzen des Passworts"
    assert "für Ihr Konto" in mail.text
    link = re.findall(r"http://testserver(/\S+)", mail.text)[0]
    assert Client().get(link, follow=True).status_code == 200
    assert not Notice.objects.exists(), "what was in it is kept nowhere"
    assert send() == 0


def test_while_a_mail_is_owed_nobody_can_use_what_it_says(alice: User, mail_server: MailServer) -> None:
    Client().post(RESET, {"email": alice.email})
    owed = Notice.objects.get()
    assert owed.to == alice.email
    assert "http" not in owed.text
    assert "http" not in str(vars(owed))


def test_a_mail_server_that_is_away_keeps_nobody_from_signing_up(mail_server: MailServer, settings: Any) -> None:
    settings.EMAIL_PORT = free_port()
    client = sign_up()
    assert client.get("/usage/").status_code == 200
    assert Client().post(RESET, {"email": "zoe@example.com"}).status_code == 302
    assert send() == 0
    settings.EMAIL_PORT = mail_server.port
    assert send() == 0, "not at once"
    Notice.objects.update(due_at=timezone.now())
    assert send() == 2
    assert sorted(mail.to[0] for mail in mail_server.mails) == ["zoe@example.com"] * 2


def test_a_mail_server_that_is_silent_delays_nobody(mail_server: MailServer) -> None:
    mail_server.silent = True
    assert sign_up().get("/usage/").status_code == 200
    assert mail_server.connections == 0


def test_it_is_sent_when_it_is_committed(
    alice: User, mail_server: MailServer, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as asked:
        Client().post(RESET, {"email": alice.email})
    assert "send_mails" in str(asked), "a worker is asked; beat would see to it within a minute"


def test_a_link_that_has_run_out_is_not_sent(alice: User, mail_server: MailServer, settings: Any) -> None:
    Client().post(RESET, {"email": alice.email})
    notices.note(key="a thing", subject="A thing", text="It happened.", now=timezone.now(), user=alice)
    later = timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    assert notices.send_due(clock=lambda: later) == 1
    assert [mail.subject for mail in mail_server.mails] == ["A thing"]
    assert not Notice.objects.exclude(to="").exists()


def test_who_has_gone_is_owed_nothing(alice: User, bob: User, mail_server: MailServer) -> None:
    for user in (alice, bob):
        Client().post(RESET, {"email": user.email})
    leaving.bar(user=alice, now=timezone.now())
    assert send() == 1
    assert mail_server.mails[0].to == [bob.email]


def test_a_mail_that_would_lose_a_part_is_refused(mail_server: MailServer) -> None:
    mail = EmailMultiAlternatives("Hello", "Hello", to=["a@example.com", "b@example.com"])
    assert mail.send() == 1
    assert set(Notice.objects.values_list("to", flat=True)) == {"a@example.com", "b@example.com"}
    mail.attach_alternative("<b>Hello</b>", "text/html")
    with pytest.raises(ValueError, match="plain text"):
        mail.send()
    assert Notice.objects.count() == 2


ASKING = """
import django
django.setup()
import chatproject.celery
from billing import tasks
tasks.ask_for_mails()
input("connected")
tasks.ask_for_mails()
print("went on")
"""


def test_a_broker_that_says_nothing_is_not_waited_for_without_end(process_environment: dict[str, str]) -> None:
    with Redis() as redis, Wire(redis.port) as wire:
        url = f"redis://127.0.0.1:{wire.port}/0"
        asking = subprocess.Popen(
            [*dying_with_parent(signal.SIGKILL), sys.executable, "-c", ASKING], cwd=ROOT, text=True,
            env={**process_environment, "REDIS_URL": url, "DJANGO_SETTINGS_MODULE": "chatproject.settings"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert asking.stdout is not None
            assert asking.stdout.read(9) == "connected"
            wire.fall_silent()
            said, _ = asking.communicate("\n", timeout=60)
        finally:
            asking.kill()
    assert said == "went on\n"
