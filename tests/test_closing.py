"""A closed month stays as it was signed: the database refuses everything else."""

import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import closing, corrections, enforcement, ledger, pricing, rollup
from billing.audit import Audit
from billing.models import Act, MonthClosing, Price, UsageRecord
from tests.calls import NOON, dollars, hold, make_price, settle, spend
from tests.clients import signed_in
from tests.locks import until_somebody_waits

pytestmark = pytest.mark.django_db

MARCH = date(2026, 3, 1)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def close(by: User, *, now: datetime = APRIL) -> MonthClosing:
    return closing.close(month=MARCH, by=by, now=now)


def clean() -> None:
    assert list(Audit().differences()) == []


def test_a_months_figures_are_sealed(alice: User, bob: User, price: Price, staff: User) -> None:
    spend(user=alice, price=price, cached_input=400, reasoning=100)
    spend(user=bob, price=price, now=NOON.replace(day=31, hour=23, minute=59))
    ledger.release(record=hold(user=bob, price=price), outcome="failed", provider_request_id="", now=NOON)
    spend(user=bob, price=price, now=APRIL)
    closed = close(staff)
    assert (closed.month, closed.closed_at, closed.closed_by, closed.closed_by_name) == (
        MARCH, APRIL, staff, staff.email
    )  # fmt: skip
    assert (closed.records, closed.calls, closed.cost) == (3, 2, dollars("0.00364"))
    assert (closed.input_tokens, closed.cached_input_tokens, closed.reasoning_tokens) == (2000, 400, 100)
    assert closing.is_closed(day=date(2026, 3, 31))
    assert not closing.is_closed(day=date(2026, 4, 1))
    act = Act.objects.get()
    assert (act.kind, act.by, act.subject, act.amount) == ("closing", staff, "March 2026", closed.cost)
    assert str(closed.sha256) in act.after
    clean()


def test_the_day_of_closing_is_said_in_the_billing_time_zone(staff: User, settings: Any) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo("Asia/Tokyo")
    late = datetime(2026, 4, 1, 16, tzinfo=UTC)  # 1:00 on the next day there, which the page of reports says
    close(staff, now=late)
    assert closing.refusal(month=MARCH, now=late) == "March 2026 is closed since 2 April 2026."


def test_the_hash_can_be_made_without_us(alice: User, price: Price, staff: User) -> None:
    """From the description in `closing.py` alone: JSON lines, by id."""
    spend(user=alice, price=price)
    spend(user=alice, price=price, now=NOON.replace(microsecond=120))
    corrections.write_off(user=alice, amount=5, by=staff, reason='Ünïcode "and" \\ all', now=NOON)
    sha256 = hashlib.sha256()
    for row in UsageRecord.objects.order_by("id").values(*closing.CANONICAL):
        values = [row[name] for name in closing.CANONICAL]
        for index, value in enumerate(values):
            if isinstance(value, datetime):
                values[index] = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
            elif isinstance(value, date):
                values[index] = value.strftime("%Y-%m-%d")
        sha256.update(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    assert close(staff).sha256 == sha256.hexdigest()


def test_of_long_ago_only_what_is_open_is_listed(alice: User, price: Price, staff: User) -> None:
    for number in range(4):
        spend(user=alice, price=price, now=NOON - timedelta(days=31 * number))
    close(staff)
    later = datetime(2027, 4, 15, tzinfo=UTC)
    listed = [(month.first, month.closed) for month in closing.months(now=later, most=14)]
    newest = [date(2027, 3, 1), date(2027, 2, 1), date(2027, 1, 1)]
    newest += [date(2026, number, 1) for number in range(12, 3, -1)]
    assert listed[:12] == [(first, False) for first in newest]
    assert listed[12:] == [
        (MARCH, True), (date(2026, 2, 1), False), (date(2026, 1, 1), False), (date(2025, 12, 1), False)
    ]  # fmt: skip
    assert [month.first for month in closing.months(now=later, most=12)][12:] == [
        date(2026, 2, 1), date(2026, 1, 1), date(2025, 12, 1)
    ]  # fmt: skip


def test_a_month_without_a_record_can_be_closed(staff: User) -> None:
    closed = close(staff)
    assert (closed.records, closed.cost, closed.sha256) == (0, 0, hashlib.sha256().hexdigest())


@pytest.mark.parametrize(
    ("zone", "now", "over"),
    [
        ("UTC", datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), False),
        ("UTC", APRIL, True),
        ("Europe/Berlin", datetime(2026, 3, 31, 21, 59, 59, tzinfo=UTC), False),
        ("Europe/Berlin", datetime(2026, 3, 31, 22, 0, tzinfo=UTC), True),
    ],
)
def test_a_month_is_over_when_it_is_in_the_billing_time_zone(
    staff: User, settings: Any, zone: str, now: datetime, over: bool
) -> None:
    settings.BILLING_TIME_ZONE = ZoneInfo(zone)
    if over:
        assert close(staff, now=now).closed_at == now
    else:
        with pytest.raises(closing.NotClosable, match="is not over before 00:00"):
            close(staff, now=now)
        assert not MonthClosing.objects.exists()


def test_a_month_with_a_call_that_has_not_ended_is_not_closed(alice: User, price: Price, staff: User) -> None:
    record = hold(user=alice, price=price, now=NOON.replace(day=31, hour=23, minute=59))
    with pytest.raises(closing.NotClosable, match="1 call of March 2026 has not ended yet"):
        close(staff)
    assert not MonthClosing.objects.exists()
    settle(record, now=APRIL + timedelta(minutes=1))
    assert close(staff, now=APRIL + timedelta(minutes=2)).cost == record.cost
    clean()


def test_a_month_is_closed_once(alice: User, price: Price, staff: User) -> None:
    spend(user=alice, price=price)
    closed = close(staff)
    with pytest.raises(closing.NotClosable, match="March 2026 is closed since 1 April 2026"):
        close(staff, now=APRIL + timedelta(days=9))
    assert MonthClosing.objects.get() == closed
    assert Act.objects.count() == 1


def refused(act: Any) -> None:
    with pytest.raises(IntegrityError, match="this month is closed"), transaction.atomic():
        act()


def test_nothing_is_added_to_a_closed_month(alice: User, price: Price, staff: User) -> None:
    spend(user=alice, price=price)
    close(staff)
    refused(lambda: hold(user=alice, price=price))
    with pytest.raises(corrections.NotCorrectable, match="has ended and is closed"):
        corrections.grant_credit(user=alice, amount=5, by=staff, reason="x", now=NOON)
    clean()


def test_no_record_comes_into_a_closed_month_or_leaves_it(alice: User, price: Price, staff: User) -> None:
    old = spend(user=alice, price=price)
    new = spend(user=alice, price=price, now=APRIL)
    close(staff)
    refused(lambda: UsageRecord.objects.filter(pk=new.pk).update(spend_date=MARCH))
    refused(lambda: UsageRecord.objects.filter(pk=old.pk).update(spend_date=APRIL.date()))
    refused(lambda: UsageRecord.objects.filter(pk=old.pk)._raw_delete(using="default"))
    clean()


@pytest.mark.parametrize(
    "change",
    [
        {"cost": 1}, {"input_tokens": 1}, {"output_tokens": 1}, {"state": "released"}, {"model": "x"},
        {"feature": "x"}, {"key_fingerprint": "x"}, {"usage": {}}, {"settled_at": APRIL}, {"calls": 2},
        {"group_name": "x"}, {"group_id": 7}, {"measured": "estimated"}, {"extra_tokens": {"input.audio": 1}},
    ],
)  # fmt: skip
def test_nothing_in_a_closed_month_is_changed(alice: User, price: Price, staff: User, change: dict[str, Any]) -> None:
    spend(user=alice, price=price)
    close(staff)
    refused(lambda: UsageRecord.objects.update(**change))
    clean()


def test_what_is_not_money_still_moves(alice: User, price: Price, staff: User) -> None:
    """The roll-up goes on, and who wants to be forgotten is; the hash stays."""
    record = spend(user=alice, price=price)
    close(staff)
    assert rollup.roll_up() == 1
    assert rollup.rebuild(first=NOON.date(), last=NOON.date()) == 1
    UsageRecord.objects.filter(pk=record.pk).update(user_name="user 7")
    clean()


def test_later_corrections_go_into_the_open_month(alice: User, price: Price, staff: User) -> None:
    record = spend(user=alice, price=price)
    before = close(staff)
    reversal, replacement = corrections.correct(
        record=record, tokens=pricing.Tokens(input=1, output=1), by=staff, reason="x", now=APRIL
    )  # fmt: skip
    assert reversal is not None
    assert {reversal.spend_date, replacement.spend_date} == {APRIL.date()}
    assert closing.digest(month=MARCH).sha256 == before.sha256
    clean()


def test_a_closed_month_is_never_opened_again(alice: User, price: Price, staff: User) -> None:
    spend(user=alice, price=price)
    close(staff)
    with pytest.raises(IntegrityError, match="not opened again"), transaction.atomic():
        MonthClosing.objects.update(cost=0)
    with pytest.raises(IntegrityError, match="not opened again"), transaction.atomic():
        MonthClosing.objects.all().delete()
    clean()


def test_the_audit_finds_a_month_that_is_not_as_it_was_sealed(alice: User, price: Price, staff: User) -> None:
    record = spend(user=alice, price=price)
    MonthClosing.objects.create(
        month=MARCH, started_at=APRIL, closed_at=APRIL, closed_by=staff, closed_by_name="s", records=1, calls=1,
        input_tokens=1000, cached_input_tokens=0, cache_write_tokens=0, output_tokens=500, reasoning_tokens=0,
        cost=record.cost + 1, sha256="0" * 64,
    )  # fmt: skip
    found = list(Audit().differences())
    assert found[0] == "March 2026 was closed with cost $0.002000001, its records now give $0.002."
    assert found[1].startswith(f"March 2026 was closed with sha256 {'0' * 64}, its records now give ")
    assert len(found) == 2


def test_a_closing_that_was_interrupted_is_taken_up(
    alice: User, price: Price, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(user=alice, price=price)

    class Died(BaseException):
        pass

    def dead(**month: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(closing, "digest", dead)
        with pytest.raises(Died):
            close(staff)
    assert MonthClosing.objects.get().closed_at is None
    refused(lambda: hold(user=alice, price=price))
    clean()
    closed = close(staff, now=APRIL + timedelta(hours=1))
    assert (closed.records, closed.started_at, closed.closed_at) == (1, APRIL, APRIL + timedelta(hours=1))
    clean()


@pytest.mark.django_db(transaction=True)
def test_a_writer_who_has_begun_is_waited_for(alice: User, staff: User) -> None:
    """Whoever writes a record of the month before it is closed is in its hash, however late the commit."""
    price = make_price()
    spend(user=alice, price=price)
    begun, closes = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            record = hold(user=alice, price=price)
            settle(record)
            begun.set()
            closes.wait(timeout=0.7)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(timeout=10)
    closed = close(staff)
    closes.set()
    writer.join()
    assert closed.records == UsageRecord.objects.count() == 2
    clean()


@pytest.mark.only("scaled")  # SQLite has one writer at a time
@pytest.mark.django_db(transaction=True)
def test_who_writes_for_long_stops_the_closing_and_not_everybody(alice: User, bob: User, staff: User) -> None:
    """Whoever writes after it has asked for its lock waits behind it, whatever they write."""
    price = make_price()
    for user, now in ((alice, NOON), (bob, APRIL)):
        spend(user=user, price=price, now=now)

    def apart(act: Callable[[], Any]) -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool, transaction.atomic():
        corrections.write_off(user=alice, amount=5, by=staff, reason="x", now=NOON)
        closer = pool.submit(apart, lambda: close(staff))
        until_somebody_waits()
        sent = pool.submit(apart, lambda: spend(user=bob, price=price, now=APRIL))
        assert sent.result(timeout=30).state == "settled", "while the other is still at it"
        with pytest.raises(closing.NotClosable, match="try again in a minute"):
            closer.result(timeout=30)
        assert not MonthClosing.objects.exists()
    assert close(staff).cost == dollars("0.002") - 5
    clean()


# Doors


RIGHT = {
    "input_tokens": "500", "cached_input_tokens": "0", "cache_write_tokens": "0", "output_tokens": "250",
    "reasoning_tokens": "0", "reason": "Counted twice.",
}  # fmt: skip
AMOUNT = {"amount": "1", "reason": "An outage.", "idempotency_key": "0b6d3f3e-7f5a-4a52-9a65-3a1f5f0c2a11"}


@pytest.mark.only("scaled")  # SQLite has one writer at a time
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("/admin/billing/usagerecord/{record}/correct/", RIGHT | {"act": "correct"}),
        ("/admin/billing/usagerecord/{record}/correct/", RIGHT | {"act": "take_back"}),
        ("/admin/accounts/user/", AMOUNT | {"action": "grant_credit"}),
        ("/admin/accounts/user/", AMOUNT | {"action": "write_off"}),
    ],
)
def test_whose_month_is_closed_while_they_wait_is_told_so(
    alice: User, staff: User, address: str, sent: dict[str, str]
) -> None:
    record = spend(user=alice, price=make_price(), now=timezone.now())
    sent = sent | {"_selected_action": str(alice.pk), "apply": "yes"}

    def post(address: str) -> str:
        try:
            return signed_in(staff).post(address, sent).content.decode()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            enforcement.lock(users=[alice])
            page = pool.submit(post, address.format(record=record.pk))
            until_somebody_waits()
            MonthClosing.objects.create(
                month=record.spend_date.replace(day=1), started_at=timezone.now(), closed_by=staff, closed_by_name="s"
            )
        said = "The month in which this was begun has ended and is closed. Nothing was booked; send it once more."
        assert said in page.result()
    assert (UsageRecord.objects.count(), Act.objects.count()) == (1, 0)
    clean()


def test_the_command_closes_and_prints_the_hash(
    alice: User, price: Price, staff: User, capsys: pytest.CaptureFixture[str]
) -> None:
    spend(user=alice, price=price)
    call_command("close_month", "2026-03", "--by", staff.email)
    closed = MonthClosing.objects.get()
    assert capsys.readouterr().out == f"March 2026 is closed: 1 records, $0.002.\nSHA-256 {closed.sha256}\n"
    with pytest.raises(CommandError, match="is closed since"):
        call_command("close_month", "2026-03", "--by", staff.email)
    User.objects.filter(pk=staff.pk).update(is_active=False)
    for address in ("nobody@example.com", staff.email):
        with pytest.raises(CommandError, match="Nobody who may sign in has the address"):
            call_command("close_month", "2026-02", "--by", address)


def test_the_admin_closes_a_month(alice: User, price: Price, staff: User, client: Client) -> None:
    spend(user=alice, price=price)
    client.force_login(staff)
    add, listed = reverse("admin:billing_monthclosing_add"), reverse("admin:billing_monthclosing_changelist")
    assert "A month that is over" in client.get(add).content.decode()
    assert "is not over before" in client.post(add, {"month": "2100-12"}).content.decode()
    for month in ("9999-12", "0001-01", "1999-12", "2101-01"):
        assert "The year must be one from 2000 to 2100." in client.post(add, {"month": month}).content.decode()
    assert "Enter a valid date" in client.post(add, {"month": "March"}).content.decode()
    assert not MonthClosing.objects.exists()
    done = client.post(add, {"month": "2026-03"}, follow=True).content.decode()
    closed = MonthClosing.objects.get()
    assert f"March 2026 is closed. SHA-256 {closed.sha256}" in done
    assert "0.002" in client.get(listed).content.decode()
    detail = client.get(reverse("admin:billing_monthclosing_change", args=[closed.pk])).content.decode()
    assert closed.sha256 in detail


def test_who_may_not_close_does_not(alice: User, staff: User, client: Client) -> None:
    add = reverse("admin:billing_monthclosing_add")
    User.objects.filter(pk=staff.pk).update(is_superuser=False)
    for user, status in ((None, 302), (alice, 302), (staff, 403)):
        if user is not None:
            client.force_login(user)
        assert client.post(add, {"month": "2026-03"}).status_code == status
    assert not MonthClosing.objects.exists()
