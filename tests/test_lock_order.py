"""What staff do about money locks in the order of a send: the user's account first, then budgets and their periods."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.statements import run
from billing import enforcement
from billing.models import Account, Budget, UsageRecord
from tests.calls import hold, make_price, spend
from tests.clients import signed_in
from tests.locks import until_somebody_waits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only("scaled")]  # SQLite has one writer at a time

RIGHT = {
    "input_tokens": "500", "cached_input_tokens": "0", "cache_write_tokens": "0", "output_tokens": "250",
    "reasoning_tokens": "0", "reason": "Counted twice.",
}  # fmt: skip
ONCE = {"idempotency_key": "0b6d3f3e-7f5a-4a52-9a65-3a1f5f0c2a11"}
CREDIT = {"action": "grant_credit", "amount": "1", "reason": "An outage."} | ONCE
# To alice, who has made a call.
TO_WHOM_SPENT: dict[str, dict[str, str]] = {
    "/admin/billing/usagerecord/{record}/correct/ correct": RIGHT | {"act": "correct"},
    "/admin/billing/usagerecord/{record}/correct/ take back": RIGHT | {"act": "take_back"},
    "/admin/billing/budget/{budget}/change/": {"limit": "5", "at_limit": "refuse"},
    "/admin/accounts/user/ credit": CREDIT,
}
# To bob, whose budgets no message has made.
TO_WHO_IS_NEW: dict[str, dict[str, str]] = {
    "/admin/billing/budget/add/": {"scope": "user", "period": "day", "limit": "5", "at_limit": "refuse"},
    "/admin/accounts/user/ set": {"action": "set_budget", "period": "day", "limit": "5"},
    "/admin/accounts/user/ raise": {"action": "raise_limit", "period": "day", "more": "5"} | ONCE,
    "/admin/accounts/user/ credit": CREDIT,
}


@pytest.fixture
def record(alice: User, bob: User) -> UsageRecord:
    """Alice's only call. Budgets keep both disabled although there is room, so whatever enforces them changes that."""
    record = spend(user=alice, price=make_price(), now=timezone.now())
    for user in (alice, bob):
        Account.objects.update_or_create(user=user, defaults={"disabled_by": "budget", "disabled_at": timezone.now()})
    return record


def post(staff: User, address: str, sent: dict[str, str]) -> int:
    """In a thread of its own; the status of the answer."""
    try:
        return signed_in(staff).post(address, sent).status_code
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("name", "act", "sent"),
    [("alice", *act) for act in TO_WHOM_SPENT.items()] + [("bob", *act) for act in TO_WHO_IS_NEW.items()],
)
def test_staff_who_wait_for_a_send_have_nothing_that_it_needs(
    name: str, act: str, sent: dict[str, str], record: UsageRecord, staff: User
) -> None:
    user = User.objects.get(email=f"{name}@example.com")
    budget = Budget.objects.get(user=record.user, period="day")
    address = act.split()[0].format(record=record.pk, budget=budget.pk)
    sent = sent | {"user": str(user.pk), "_selected_action": str(user.pk), "apply": "yes"}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            run(*enforcement.locking(user=user))
            answer = pool.submit(post, staff, address, sent)
            until_somebody_waits()
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '100ms'")
            hold(user=user, price=record.held_price, now=timezone.now())
            transaction.set_rollback(True)  # or staff would find that the budget which they add is there
        assert answer.result() == 302
