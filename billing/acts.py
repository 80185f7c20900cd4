"""The trail of what people did about money: limits, accounts, prices, corrections, credit, closings.

Rows are only added. The database itself refuses to change or delete one.
"""

from datetime import datetime

from accounts.models import User
from billing.models import Act, UsageRecord

THE_SYSTEM = "a command"


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
) -> Act:
    """Write an act down, in the transaction that does it; `amount` in nano-dollars, signed.

    `by` is None where a command did it, `user` whom it concerns.
    """
    return Act.objects.create(
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
    )
