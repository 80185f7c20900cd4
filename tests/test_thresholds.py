"""50, 80 and 100 percent of a budget: a mail, once a period."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from billing import notices, thresholds
from billing.models import Budget, Notice, Price
from tests.calls import NOON, at_once, dollars, hold, limit, make_price, settle, spend
from tests.mail import MailServer

pytestmark = pytest.mark.django_db

APRIL = NOON.replace(month=4, day=1)


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def beat(now: datetime = NOON) -> int:
    thresholds.watch(now=now)
    return notices.send_due(clock=lambda: now)


def test_each_threshold_is_mailed_to_the_user_once(alice: User, price: Price, mail_server: MailServer) -> None:
    limit(user=alice, day="0.02")
    expected = {4: [], 5: ["50%"], 7: ["50%"], 8: ["50%", "80%"], 9: ["50%", "80%"], 10: ["50%", "80%", "100%"]}
    for calls in range(1, 11):
        spend(user=alice, price=price)
        beat()
        beat()
        if calls in expected:
            assert [mail.subject.split()[0] for mail in mail_server.mails] == expected[calls]
    assert all(mail.to == [alice.email] for mail in mail_server.mails)
    first, *_, last = mail_server.mails
    assert first.subject == "50% of your daily budget are spent"
    assert "$0.01 of your daily budget, $0.02, are spent: 50%." in first.text
    assert "It starts again at 00:00 UTC on 16 March 2026." in first.text
    assert "a message that does not fit it is refused" not in first.text
    assert "a message that does not fit it is refused" in last.text


def test_of_what_is_passed_at_once_the_highest_is_mailed(alice: User, price: Price, mail_server: MailServer) -> None:
    limit(user=alice, day="0.0024")
    spend(user=alice, price=price)
    beat()
    assert [mail.subject.split()[0] for mail in mail_server.mails] == ["80%"]
    assert set(Notice.objects.values_list("threshold", flat=True)) == {50, 80}


@pytest.mark.parametrize(("amount", "percent"), [("0.004000002", 0), ("0.004", 50), ("0.0025", 80), ("0.002", 100)])
def test_a_threshold_is_exact_to_the_nano_dollar(
    alice: User, price: Price, mail_server: MailServer, amount: str, percent: int
) -> None:
    limit(user=alice, day=amount)
    spend(user=alice, price=price)
    beat()
    assert [mail.subject.split("%")[0] for mail in mail_server.mails] == [str(percent)] * (percent > 0)


@pytest.mark.parametrize("scope", ["group", "everyone"])
def test_what_many_share_is_told_to_staff(
    alice: User, staff: User, price: Price, mail_server: MailServer, scope: str
) -> None:
    group = Group.objects.create(name="Sales")
    alice.groups.add(group)
    Budget.objects.create(
        scope=scope, group=group if scope == "group" else None, period="month", limit=dollars("0.002")
    )  # fmt: skip
    spend(user=alice, price=price)
    beat()
    (mail,) = mail_server.mails
    assert mail.to == [staff.email]
    assert mail.subject == f"100% of the monthly budget of {'Sales' if scope == 'group' else 'everyone'} are spent"
    assert "00:00 UTC on 1 April 2026" in mail.text


def test_the_name_of_a_group_does_not_break_the_mail_about_it(
    alice: User, staff: User, price: Price, mail_server: MailServer
) -> None:
    group = Group.objects.create(name="Sales\r\nBcc: mallory@example.com")
    alice.groups.add(group)
    Budget.objects.create(scope="group", group=group, period="month", limit=dollars("0.002"))
    spend(user=alice, price=price)
    beat()
    (mail,) = mail_server.mails
    assert mail.to == [staff.email]
    assert mail.subject == "100% of the monthly budget of Sales Bcc: mallory@example.com are spent"


def test_a_new_period_is_told_anew(alice: User, price: Price, mail_server: MailServer) -> None:
    limit(user=alice, day="0.004")
    for day in range(3):
        spend(user=alice, price=price, now=NOON + timedelta(days=day))
        beat(NOON + timedelta(days=day))
    assert len(mail_server.mails) == 3


def test_a_limit_that_is_raised_and_reached_again_is_told_once(
    alice: User, price: Price, mail_server: MailServer
) -> None:
    limit(user=alice, day="0.002")
    spend(user=alice, price=price)
    beat()
    limit(user=alice, day="0.004")
    beat()
    spend(user=alice, price=price)
    beat()
    assert [mail.subject.split()[0] for mail in mail_server.mails] == ["100%"]


def test_a_limit_lowered_in_mid_call_is_told_when_it_is_passed(
    alice: User, price: Price, mail_server: MailServer
) -> None:
    record = hold(user=alice, price=price)
    limit(user=alice, day="0.001")
    beat()
    assert mail_server.mails == [], "what is only held is not spent"
    settle(record)
    beat()
    assert [mail.subject.split()[0] for mail in mail_server.mails] == ["100%"]
    assert "$0.002 of your daily budget, $0.001, are spent: 200%." in mail_server.mails[0].text


def test_settled_after_midnight_it_is_the_day_of_the_hold_that_is_told(
    alice: User, price: Price, mail_server: MailServer
) -> None:
    limit(user=alice, day="0.002")
    late = NOON.replace(hour=23, minute=59)
    record = hold(user=alice, price=price, now=late)
    beat(late + timedelta(minutes=1))
    assert mail_server.mails == []
    settle(record, now=late + timedelta(minutes=2))
    for minutes in (2, 3):
        beat(late + timedelta(minutes=minutes))
    (mail,) = mail_server.mails
    assert mail.subject == "100% of your daily budget were spent"
    assert mail.text.startswith(
        "$0.002 of your daily budget, $0.002, were spent: 100%. It started again at 00:00 UTC on 16 March 2026. To be"
    ), "and nothing of what is refused: it has started again"


@pytest.mark.parametrize(("last", "next_"), [(NOON, NOON.replace(day=16)), (NOON.replace(day=31), APRIL)])
def test_what_is_passed_in_the_last_minute_of_a_period_is_told_once(
    alice: User, bob: User, price: Price, mail_server: MailServer, last: datetime, next_: datetime
) -> None:
    period = "month" if next_.day == 1 else "day"
    for user in (alice, bob):
        limit(user=user, **{period: "0.004"})
    last, next_ = last.replace(hour=23, minute=59, second=30), next_.replace(hour=0, minute=0)
    spend(user=bob, price=price, now=last)
    beat(last)
    spend(user=alice, price=price, now=last)
    for seconds in (30, 31, 90):
        beat(next_ + timedelta(seconds=seconds))
    name = "your monthly budget" if period == "month" else "your daily budget"
    assert [(mail.to, mail.subject) for mail in mail_server.mails] == [
        ([bob.email], f"50% of {name} are spent"), ([alice.email], f"50% of {name} were spent")
    ]  # fmt: skip
    spend(user=alice, price=price, now=next_)
    beat(next_ + timedelta(seconds=91))
    assert mail_server.mails[-1].subject == f"50% of {name} are spent", "that which runs is told beside it"


def test_what_is_long_over_is_told_to_nobody(alice: User, price: Price, mail_server: MailServer) -> None:
    limit(user=alice, day="0.002")
    spend(user=alice, price=price)
    beat(NOON.replace(day=16, hour=0, minute=16))
    assert mail_server.mails == []


def test_whose_sign_in_staff_took_is_not_written_to(alice: User, price: Price, mail_server: MailServer) -> None:
    limit(user=alice, day="0.002")
    spend(user=alice, price=price)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    beat()
    assert mail_server.mails == []


def test_the_default_limit_has_thresholds_too(
    alice: User, price: Price, mail_server: MailServer, settings: Any
) -> None:
    settings.BILLING_MONTHLY_BUDGET_USD = settings.BILLING_EVERYONE_DAILY_BUDGET_USD = 1
    settings.BILLING_DAILY_BUDGET_USD = Decimal("0.002")
    spend(user=alice, price=price)
    beat()
    assert [mail.subject for mail in mail_server.mails] == ["100% of your daily budget are spent"]


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_send_one_mail(alice: User, price: Price, mail_server: MailServer) -> None:
    limit(user=alice, day="0.002")
    spend(user=alice, price=price)
    sent = at_once(lambda number: str(beat()), 4)
    assert sorted(sent) == ["0", "0", "0", "1"]
    assert len(mail_server.mails) == 1


def test_what_was_told_costs_nothing_more(alice: User, bob: User, price: Price) -> None:
    counts = []
    for user in (alice, bob):
        limit(user=user, day="0.002")
        spend(user=user, price=price)
        thresholds.watch(now=NOON)
        with CaptureQueriesContext(connection) as captured:
            assert thresholds.watch(now=NOON) == 0
        counts.append(len(captured))
    assert counts == [6, 6], "one a scope and period"
