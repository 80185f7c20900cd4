"""A budget that takes the sign-in away at its limit, and gives back what it took."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import enforcement, limiting, notices, thresholds
from billing.models import Account, Budget, Price
from tests.calls import NOON, at_once, dollars, limit, make_price, spend
from tests.mail import MailServer

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime.fromisoformat("2026-03-16T00:00:00+00:00")


@pytest.fixture
def price(settings: Any) -> Price:
    settings.CHAT_MODELS = {"fast": "test-model", "smart": "test-model"}
    return make_price()


def strict(user: User, *, day: str = "0.002", now: datetime = NOON, price: Price | None = None) -> None:
    """A daily budget that takes the sign-in away, used up where a price is given."""
    limit(user=user, day=day)
    Budget.objects.filter(user=user, period="day").update(at_limit="deactivate")
    if price is not None:
        spend(user=user, price=price, now=now)
        enforcement.enforce_budgets(now=now)


def active(user: User) -> bool:
    return User.objects.get(pk=user.pk).is_active


def test_it_is_taken_at_the_limit_and_given_back_with_the_new_day(alice: User, bob: User, price: Price) -> None:
    limit(user=bob, day="0.002")
    spend(user=bob, price=price)
    strict(alice, price=price)
    assert (active(alice), active(bob)) == (False, True), "bob's budget only refuses"
    assert Account.objects.get(user=alice).sign_in_taken
    enforcement.enforce_budgets(now=MIDNIGHT - timedelta(seconds=1))
    assert not active(alice)
    enforcement.enforce_budgets(now=MIDNIGHT)
    assert active(alice)
    assert not Account.objects.get(user=alice).sign_in_taken


def test_it_is_given_back_when_the_limit_is_raised(alice: User, price: Price) -> None:
    strict(alice, price=price)
    limit(user=alice, day="1")
    enforcement.enforce_budgets(now=NOON, users=[alice])
    assert active(alice)


def test_it_is_given_back_when_the_budget_no_longer_asks_for_it(alice: User, price: Price) -> None:
    strict(alice, price=price)
    Budget.objects.update(at_limit="refuse")
    enforcement.enforce_budgets(now=NOON)
    assert active(alice)
    assert Account.objects.get(user=alice).disabled_by == "budget", "sending is still refused"


def test_it_is_taken_when_the_budget_begins_to_ask_for_it(alice: User, price: Price) -> None:
    limit(user=alice, day="0.002")
    spend(user=alice, price=price)
    enforcement.enforce_budgets(now=NOON)
    assert active(alice)
    Budget.objects.filter(user=alice, period="day").update(at_limit="deactivate")
    enforcement.enforce_budgets(now=NOON)
    assert not active(alice)


def test_whose_sign_in_staff_took_does_not_get_it_back(alice: User, price: Price) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    strict(alice, price=price)
    enforcement.enforce_budgets(now=MIDNIGHT)
    assert not active(alice)


def test_whom_staff_disabled_meanwhile_does_not_get_it_back(alice: User, staff: User, price: Price) -> None:
    strict(alice, price=price)
    enforcement.disable(users=[alice], by="staff", reason="Left.", until=None, now=NOON, actor=staff)
    enforcement.enforce_budgets(now=MIDNIGHT)
    assert not active(alice)
    enforcement.enable(users=[alice], now=MIDNIGHT, actor=staff)
    assert active(alice), "staff enabled her, and the new day has room"


def test_to_whom_staff_gave_it_back_keeps_it(alice: User, price: Price) -> None:
    strict(alice, price=price)
    User.objects.filter(pk=alice.pk).update(is_active=True)
    enforcement.enforce_budgets(now=NOON)
    assert active(alice)
    enforcement.enforce_budgets(now=MIDNIGHT)
    spend(user=alice, price=price, now=MIDNIGHT)
    enforcement.enforce_budgets(now=MIDNIGHT)
    assert not active(alice), "the next day it is taken anew"


def test_staff_keep_theirs(staff: User, price: Price) -> None:
    strict(staff, price=price)
    assert active(staff)
    assert Account.objects.get(user=staff).disabled_by == "budget"


def test_who_is_signed_in_is_signed_out(alice: User, price: Price, client: Client) -> None:
    client.force_login(alice)
    assert client.get("/usage/").status_code == 200
    strict(alice, price=price, now=timezone.now())
    assert client.get("/usage/").status_code == 302


def test_the_mail_says_so(alice: User, price: Price, mail_server: MailServer) -> None:
    strict(alice, price=price)
    thresholds.watch(now=NOON)
    notices.send_due(clock=lambda: NOON)
    (mail,) = mail_server.mails
    assert "you can't sign in either" in mail.text
    assert "00:00 UTC on 16 March 2026" in mail.text


@pytest.mark.parametrize("scope", ["group", "everyone"])
def test_what_many_share_takes_nobodys_sign_in(scope: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Budget.objects.create(scope=scope, period="day", limit=dollars("1"), at_limit="deactivate")


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_what_one_does(price: Price) -> None:
    users = [User.objects.create(email=f"user{number}@example.com") for number in range(10)]
    for user in users:
        strict(user, day="0")
    at_once(lambda number: str(enforcement.enforce_budgets(now=NOON)), 3)
    assert not User.objects.filter(is_active=True).exists()
    for user in users:
        limiting.set_limit(user=user, period="day", limit=dollars("1"))
    at_once(lambda number: str(enforcement.enforce_budgets(now=NOON)), 3)
    assert User.objects.filter(is_active=True).count() == 10
    assert not Account.objects.filter(sign_in_taken=True).exists()
