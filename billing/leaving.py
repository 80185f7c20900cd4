"""What the books keep of a person who is gone: every figure, under a pseudonym."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_noop

from accounts.leaving import pseudonym
from accounts.models import User
from billing import enforcement
from billing.models import Account, ExportRun, Notice, UsageRecord

BATCH = 2000  # records in one statement


def bar(*, user: User, now: datetime) -> None:
    """Let nothing more be sent for a user or to them, and no budget give the sign-in back. Locks the account as a
    send does.
    """
    enforcement.disable(
        users=[user], by=Account.By.STAFF, reason=gettext_noop("The account was deleted."), until=None, now=now
    )
    Account.objects.filter(user=user).update(sign_in_taken=False)
    Notice.objects.filter(sent_at=None, to__iexact=user.email).delete()


def rename(*, user: User, now: datetime) -> None:
    """Put the pseudonym into the records of a user who is gone, and take back the mails and files that were theirs.

    Names are no part of what a closed month signs: no sum and no hash changes.
    """
    name = pseudonym(user.pk)
    named = UsageRecord.objects.filter(user=user).exclude(user_name=name).order_by()
    while keys := list(named.values_list("pk", flat=True)[:BATCH]):
        UsageRecord.objects.filter(pk__in=keys).update(user_name=name)
    Notice.objects.filter(user=user).exclude(text="").update(subject="", text="")
    Notice.objects.filter(user=user, sent_at=None).update(sent_at=now)
    ExportRun.objects.filter(user=user, state__in=[ExportRun.State.WAITING, ExportRun.State.RUNNING]).update(
        state=ExportRun.State.CANCELLED, ended_at=now
    )
    ExportRun.objects.filter(user=user, expires_at__gt=now).exclude(file_name="").update(expires_at=now)
