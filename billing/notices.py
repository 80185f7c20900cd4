"""Mails that the product owes to people: written with what they tell of, sent afterwards, once a key.

A notice is a row with a unique key, so that two who find the same thing write one. It is sent by
whoever claims it with a conditional update, under a lease, with no transaction open. A process that
dies after its claim leaves a lease that runs out: the mail is tried again. It may have left already,
so it can come twice, but no more: a second try without the mail server's word is the last.

A mail to an address, such as a link that resets a password, is owed in the same way. Its text opens an
account, so it lies sealed, goes once it is sent, and is no use when its link has run out.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from smtplib import SMTPServerDisconnected

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F
from uuid_utils.compat import uuid7

from accounts import sealing
from accounts.models import User
from billing.mail_server import Unanswered
from billing.models import Notice

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)  # far longer than a mail server is waited for
RETRY = timedelta(minutes=5)  # after the mail server said no, or could not be reached
MOST_UNANSWERED = 2
OUTBOX = "billing.outbox.EmailBackend"  # where Django leaves mails; it owes them here
BATCH = 500


class Away(Exception):
    """The mail server can't be reached, or went away or fell silent in the middle of a mail."""


def note(*, key: str, subject: str, text: str, now: datetime, user: User | None = None) -> None:
    """Owe a user, or staff, a mail; nothing happens where the key has one already.

    It is written in the caller's transaction, and is not sent where that is rolled back.
    """
    notice = Notice(key=key[:200], user=user, subject=title(subject), text=text, created_at=now, due_at=now)
    Notice.objects.bulk_create([notice], ignore_conflicts=True)


def owe(*, to: str, subject: str, text: str, now: datetime) -> None:
    """Owe an address a mail, in the caller's transaction."""
    Notice.objects.create(
        key=f"mail:{uuid7()}", to=to, subject=title(subject), text=sealing.seal(text), created_at=now, due_at=now
    )


def title(subject: str) -> str:
    """A subject as a mail takes it: a header is one line, and names in it can hold anything."""
    return " ".join(subject.split())[:200]


def send_due(*, clock: Callable[[], datetime]) -> int:
    """Send what is owed; returns how many mails the mail server took. Runs outside any transaction.

    Two at once share the work. Where the mail server is away, all that is due waits: it is waited for once.
    """
    now = clock()
    _forget_the_useless(now)
    due = Notice.objects.filter(sent_at=None, due_at__lte=now, unanswered__lte=MOST_UNANSWERED)
    server = _server()
    sent = 0
    try:
        for notice in due.select_related("user").order_by("due_at", "pk")[:BATCH]:
            _reach(server)
            sent += _send(notice, server, clock)
    except Away:
        due.update(due_at=now + RETRY)
    finally:
        server.close()
    return sent


def _server() -> BaseEmailBackend:
    """What sends. Whoever puts another backend in the outbox's place, as Django's test runner does, gets all mails."""
    return get_connection(settings.MAIL_SENDER if settings.EMAIL_BACKEND == OUTBOX else settings.EMAIL_BACKEND)


def _forget_the_useless(now: datetime) -> None:
    """Drop mails whose links have run out meanwhile."""
    late = now - timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
    forgotten, _ = Notice.objects.filter(sent_at=None, to__gt="", created_at__lte=late).delete()
    if forgotten:
        logger.error("%d mails to people could not be sent for as long as their links hold", forgotten)


def _reach(server: BaseEmailBackend) -> None:
    """Have a connection to the mail server. Raises Away."""
    try:
        server.open()
    except Exception as error:  # whatever a mail backend raises
        logger.error("the mail server is away: %s", error)
        raise Away from error


def _send(notice: Notice, server: BaseEmailBackend, clock: Callable[[], datetime]) -> bool:
    """Send one mail, if nobody else does; whether it left. Raises Away."""
    now = clock()
    unsent = Notice.objects.filter(pk=notice.pk, sent_at=None)
    claimed = unsent.filter(due_at=notice.due_at, due_at__lte=now, unanswered__lt=MOST_UNANSWERED).update(
        due_at=now + LEASE, unanswered=F("unanswered") + 1
    )
    if not claimed:
        if unsent.filter(unanswered=MOST_UNANSWERED, due_at__lte=now).update(unanswered=MOST_UNANSWERED + 1):
            logger.error("a mail was tried twice without an answer and is given up: %s", notice.key)
        return False
    to = _recipients(notice)
    try:
        if to:
            EmailMessage(notice.subject, _text(notice), to=to, connection=server).send()
    except Unanswered as error:
        logger.warning("the mail server did not say whether it took a mail: %s", notice.key)
        raise Away from error
    except Exception as error:  # whatever a mail backend raises: the next try may do better
        logger.exception("a mail could not be sent: %s", notice.key)
        unsent.update(due_at=clock() + _patience(notice, now), unanswered=F("unanswered") - 1)
        if isinstance(error, SMTPServerDisconnected):
            raise Away from error
        return False
    if notice.to:
        unsent.delete()
    else:
        unsent.update(sent_at=clock(), unanswered=0)
    return bool(to)


def _patience(notice: Notice, now: datetime) -> timedelta:
    """How long a mail waits that was refused: longer the longer it has waited, as a mailbox may be gone for good."""
    return max(RETRY, (now - notice.created_at) / 4)


def _text(notice: Notice) -> str:
    """What a mail says. Raises InvalidToken where it was sealed under a key that is gone."""
    return sealing.unseal(notice.text) if notice.to else notice.text


def _recipients(notice: Notice) -> list[str]:
    """The address that it names or its user's, or those of all staff who may sign in; the administrator's where there
    are none.
    """
    if notice.to:
        return [notice.to]
    if notice.user is not None:
        return [notice.user.email]
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("email").values_list("email", flat=True)
    return list(staff) or [settings.ADMINISTRATOR_EMAIL]
