"""Mails that the product owes to people: written with what they tell of, sent afterwards, once a key.

A notice is a row with a unique key, so that two who find the same thing write one. It is sent by
whoever claims it with a conditional update, under a lease, with no transaction open. A process that
dies after its claim leaves a lease that runs out: the mail is tried again. It may have left already,
so it can come twice, but no more: a second try without the mail server's word is the last.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F

from accounts.models import User
from billing.models import Notice

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)  # far longer than a mail server is waited for
RETRY = timedelta(minutes=5)  # after the mail server said no, or could not be reached
MOST_UNANSWERED = 2
BATCH = 500


def note(*, key: str, subject: str, text: str, now: datetime, user: User | None = None) -> None:
    """Owe a user, or staff, a mail; nothing happens where the key has one already.

    It is written in the caller's transaction, and is not sent where that is rolled back.
    """
    notice = Notice(key=key[:200], user=user, subject=title(subject), text=text, created_at=now, due_at=now)
    Notice.objects.bulk_create([notice], ignore_conflicts=True)


def title(subject: str) -> str:
    """A subject as a mail takes it: a header is one line, and names in it can hold anything."""
    return " ".join(subject.split())[:200]


def send_due(*, clock: Callable[[], datetime]) -> int:
    """Send what is owed; returns how many mails the mail server took. Runs outside any transaction.

    Two at once share the work.
    """
    waiting = Notice.objects.filter(sent_at=None, due_at__lte=clock(), unanswered__lte=MOST_UNANSWERED)
    return sum(_send(notice, clock) for notice in waiting.select_related("user").order_by("due_at", "pk")[:BATCH])


def _send(notice: Notice, clock: Callable[[], datetime]) -> bool:
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
            EmailMessage(notice.subject, notice.text, to=to).send()
    except Exception:  # whatever a mail backend raises: the next try may do better
        logger.exception("a mail could not be sent: %s", notice.key)
        unsent.update(due_at=clock() + RETRY, unanswered=F("unanswered") - 1)
        return False
    unsent.update(sent_at=clock(), unanswered=0)
    return bool(to)


def _recipients(notice: Notice) -> list[str]:
    """The user's address, or those of all staff who may sign in; the administrator's where there are none."""
    if notice.user is not None:
        return [notice.user.email]
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("email").values_list("email", flat=True)
    return list(staff) or [settings.ADMINISTRATOR_EMAIL]
