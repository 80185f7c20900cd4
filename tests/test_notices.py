"""Mails that are owed: sent over SMTP, once a key, whatever crashes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction

from accounts.models import User
from billing import notices, tasks
from billing.models import Notice
from chatproject import environment
from tests.calls import NOON, at_once
from tests.mail import MailServer

pytestmark = pytest.mark.django_db


def clock(now: datetime = NOON) -> Callable[[], datetime]:
    return lambda: now


def owe(key: str = "a thing", *, user: User | None = None, now: datetime = NOON) -> None:
    notices.note(key=key, subject="About\r\na thing", text="It happened.", now=now, user=user)


def test_a_mail_goes_to_its_user(alice: User, mail_server: MailServer, settings: Any) -> None:
    owe(user=alice)
    assert notices.send_due(clock=clock()) == 1
    (mail,) = mail_server.mails
    assert (mail.to, mail.subject, mail.text) == ([alice.email], "About a thing", "It happened.")
    assert str(mail.message["From"]) == settings.DEFAULT_FROM_EMAIL
    assert Notice.objects.get().sent_at == NOON
    assert notices.send_due(clock=clock()) == 0
    assert len(mail_server.mails) == 1


def test_one_to_staff_goes_to_all_staff_who_may_sign_in(
    alice: User, staff: User, make_user: Callable[..., User], mail_server: MailServer
) -> None:
    other = make_user("other", is_staff=True)
    make_user("gone", is_staff=True, is_active=False)
    owe()
    notices.send_due(clock=clock())
    assert [mail.to for mail in mail_server.mails] == [sorted([staff.email, other.email])]


def test_where_there_are_no_staff_the_administrator_is_told(mail_server: MailServer, settings: Any) -> None:
    owe()
    notices.send_due(clock=clock())
    assert mail_server.mails[0].to == [settings.ADMINISTRATOR_EMAIL]


def test_the_same_key_is_told_once(alice: User, mail_server: MailServer) -> None:
    for _ in range(3):
        owe(user=alice)
        notices.send_due(clock=clock())
    owe("another", user=alice)
    notices.send_due(clock=clock())
    assert len(mail_server.mails) == 2


def test_what_is_rolled_back_is_not_told(alice: User, mail_server: MailServer) -> None:
    with transaction.atomic():
        owe(user=alice)
        transaction.set_rollback(True)
    assert notices.send_due(clock=clock()) == 0
    assert mail_server.mails == []


@pytest.mark.parametrize("how", ["refusing", "curt"])
def test_a_mail_server_that_takes_no_mail_is_asked_again_as_often_as_it_takes(
    alice: User, mail_server: MailServer, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    owe(user=alice)
    setattr(mail_server, how, True)
    now = NOON
    for _ in range(4):
        assert notices.send_due(clock=clock(now)) == 0
        assert notices.send_due(clock=clock(now + timedelta(seconds=1))) == 0, "not at once"
        now += notices.RETRY
    assert "a mail could not be sent: a thing" in caplog.text
    setattr(mail_server, how, False)
    assert notices.send_due(clock=clock(now)) == 1
    assert len(mail_server.mails) == 1


def test_a_mailbox_that_is_gone_is_asked_more_and_more_seldom_and_keeps_no_other_mail(
    alice: User, bob: User, mail_server: MailServer
) -> None:
    mail_server.unknown = {alice.email}
    owe(user=alice)
    owe("another", user=bob)
    assert notices.send_due(clock=clock()) == 1
    assert mail_server.mails[0].to == [bob.email]
    mail_server.connections = 0
    for number in range(1, 24 * 12):
        notices.send_due(clock=clock(NOON + number * notices.RETRY))
    assert 10 < mail_server.connections < 40, "of 287 times"
    mail_server.unknown = set()
    assert notices.send_due(clock=clock(NOON + timedelta(days=2))) == 1


def test_a_mail_server_that_is_silent_is_waited_for_once(alice: User, mail_server: MailServer, settings: Any) -> None:
    settings.EMAIL_TIMEOUT = 1
    for number in range(5):
        owe(str(number), user=alice)
    mail_server.silent = True
    assert notices.send_due(clock=clock()) == 0
    assert notices.send_due(clock=clock(NOON + timedelta(seconds=1))) == 0
    assert mail_server.connections == 1
    mail_server.silent = False
    assert notices.send_due(clock=clock(NOON + notices.RETRY)) == 5
    assert len(mail_server.mails) == 5
    assert mail_server.connections == 2


def test_one_that_takes_a_mail_and_never_says_so_gets_it_twice_at_most(alice: User, mail_server: MailServer) -> None:
    owe(user=alice)
    mail_server.mute = 100
    for number in range(12):
        assert notices.send_due(clock=clock(NOON + number * notices.LEASE)) == 0
    assert len(mail_server.mails) == 2


class Died(BaseException):
    """The process ends here."""


def die_before_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(notice: Notice) -> list[str]:
        raise Died

    monkeypatch.setattr(notices, "_recipients", dead)


def die_after_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read when the mail server has said yes: the process dies before it writes that down."""
    reads = iter(range(100))

    def dying() -> datetime:
        if next(reads) == 2:
            raise Died
        return NOON

    monkeypatch.setattr(notices, "send_due", lambda *, clock, real=notices.send_due: real(clock=dying))


@pytest.mark.parametrize(("die", "mails"), [(die_before_sending, 1), (die_after_sending, 2)])
def test_a_crash_is_made_good_with_at_most_one_duplicate(
    alice: User, mail_server: MailServer, die: Callable[[pytest.MonkeyPatch], None], mails: int
) -> None:
    owe(user=alice)
    with pytest.MonkeyPatch.context() as patch:
        die(patch)
        with pytest.raises(Died):
            notices.send_due(clock=clock())
    assert notices.send_due(clock=clock(NOON + notices.LEASE - timedelta(seconds=1))) == 0, "it may still be on its way"
    assert notices.send_due(clock=clock(NOON + notices.LEASE)) == 1
    assert notices.send_due(clock=clock(NOON + 9 * notices.LEASE)) == 0
    assert len(mail_server.mails) == mails


def test_a_mail_that_left_twice_without_an_answer_is_not_sent_a_third_time(
    alice: User, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    owe(user=alice)
    now = NOON
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            die_after_sending(patch)
            Notice.objects.filter(due_at__lte=now).update(due_at=NOON)
            with pytest.raises(Died):
                notices.send_due(clock=clock())
        now += notices.LEASE
    for _ in range(3):
        now += notices.LEASE
        assert notices.send_due(clock=clock(now)) == 0
    assert len(mail_server.mails) == 2
    assert caplog.text.count("is given up: a thing") == 1


@pytest.mark.django_db(transaction=True)
def test_two_at_once_share_the_work(make_user: Callable[..., User], mail_server: MailServer) -> None:
    users = [make_user(f"user{number}") for number in range(12)]
    for user in users:
        owe(user.email, user=user)
    sent = at_once(lambda number: str(notices.send_due(clock=clock())), 3)
    assert sum(map(int, sent)) == 12
    assert sorted(mail.to[0] for mail in mail_server.mails) == sorted(user.email for user in users)


def test_a_backend_that_is_put_in_the_outboxs_place_gets_what_is_owed_too(alice: User) -> None:
    owe(user=alice)
    assert notices.send_due(clock=clock()) == 1
    assert [sent.to for sent in mail.outbox] == [[alice.email]]  # there Django's test runner keeps it


def test_beat_sends(alice: User, mail_server: MailServer) -> None:
    owe(user=alice)
    tasks.send_notices.apply(throw=True)
    assert len(mail_server.mails) == 1


def test_where_mail_goes_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("EMAIL_HOST", "mail.example.com"), ("EMAIL_PORT", "587"), ("EMAIL_USE_TLS", "true")):
        monkeypatch.setenv(name, value)
    read = environment.read()
    assert (read.EMAIL_HOST, read.EMAIL_PORT, read.EMAIL_USE_TLS) == ("mail.example.com", 587, True)
