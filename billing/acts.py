"""The trail of what people did about money: limits, accounts, prices, corrections, credit, closings.

Rows are only added. The database itself refuses to change or delete one.
"""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.errors import Refusal
from accounts.models import User
from billing.models import Act, UsageRecord

THE_SYSTEM = "a command"


class AlreadyDone(Refusal):
    """The form that asks for an act was sent before, and acted on."""

    code, status = "idempotency_conflict", 409


def record(
    *,
    kind: str,
    by: User | None,
    now: datetime,
    subject: str,
    user: User | None = None,
    before: str = "",
    after: str = "",
    reason: str = "",
    amount: int | None = None,
    record: UsageRecord | None = None,
    idempotency_key: UUID | None = None,
) -> Act:
    """Write an act down, in the transaction that does it; `amount` in nano-dollars, signed.

    `by` is None where a command did it, `user` whom it concerns. Raises AlreadyDone where the key has acted on that
    user before: what was done along with it must be undone.
    """
    act = Act(
        kind=kind,
        by=by,
        by_name=(by.email if by else THE_SYSTEM)[:254],
        at=now,
        user=user,
        subject=subject[:300],
        before=before[:500],
        after=after[:500],
        reason=reason[:500],
        amount=amount,
        record=record,
        idempotency_key=idempotency_key,
    )
    try:
        with transaction.atomic():
            act.save(force_insert=True)
    except IntegrityError as error:
        if idempotency_key and Act.objects.filter(idempotency_key=idempotency_key, user=user).exists():
            said = _("This form was sent before and is done; nothing was done again. To do it once more, open it anew.")
            raise AlreadyDone(said) from error
        raise
    return act
