"""`audit_ledger` finds what does not agree, and says what."""

import re
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from billing import rollup
from billing.audit import Audit
from billing.models import BudgetPeriod, DailySpend, DailyTotal, Hold, MonthlySpend, Price, UncountedRecord, UsageRecord
from tests.calls import NOON, dollars, hold, make_price, spend

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(alice: User, bob: User) -> Price:
    """Two calls rolled up, one settled since, one held."""
    price = make_price()
    spend(user=alice, price=price)
    spend(user=bob, price=price, cached_input=500)
    rollup.roll_up()
    spend(user=bob, price=price)
    hold(user=alice, price=price, now=NOON + timedelta(days=1))
    return price


def found() -> str:
    return "\n".join(Audit().differences())


def test_sound_books_are_clean(books: Price, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit_ledger")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == "clean"
    assert {"3 settled usage records", "1 held usage records", "1 records waiting for the roll-up"} <= set(lines)


def test_empty_books_are_clean(db: None) -> None:
    assert found() == ""


def test_a_difference_is_printed_and_ends_with_1(books: Price, capsys: pytest.CaptureFixture[str]) -> None:
    BudgetPeriod.objects.filter(budget__scope="everyone", start=NOON.date()).update(spent=1)
    with pytest.raises(SystemExit) as ended:
        call_command("audit_ledger")
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert re.search(
        r"Budget period \d+ \(everyone, a day from 2026-03-15\) says that \$0.000000001 is spent, "
        r"its settled records say \$0.00555\.", out
    )  # fmt: skip
    assert out.endswith("1 differences\n")


def test_a_wrong_held_sum_is_found(books: Price) -> None:
    BudgetPeriod.objects.filter(held__gt=0, budget__period="day", budget__scope="user").update(held=0)
    assert "says that $0.00 is held, its open records say $0.002." in found()


def test_a_changed_cost_is_found_by_pricing_again(books: Price) -> None:
    record = UsageRecord.objects.filter(state="settled").latest("pk")
    UsageRecord.objects.filter(pk=record.pk).update(cost=dollars("0.001"))
    text = found()
    assert f"Usage record {record.pk} cost $0.001, but its tokens at price {books.pk} cost $0.002." in text
    assert "its settled records say" in text


def test_a_changed_price_is_found(books: Price) -> None:
    Price.objects.update(output_price=dollars("3"))
    assert found().count("but its tokens at price") == 3


def test_a_record_without_a_hold_is_found(books: Price) -> None:
    record = UsageRecord.objects.earliest("pk")
    Hold.objects.filter(record=record).delete()
    assert f"Usage record {record.pk} has no hold in any budget." in found()


def test_a_wrong_flag_is_found(books: Price) -> None:
    UsageRecord.objects.filter(state="settled").update(over_hold=True)
    assert found().count("its flag says otherwise") == 3


@pytest.mark.parametrize("change", [{"cost": 0}, {"calls": 7}, {"input_tokens": 1}])
def test_daily_spend_that_differs_is_found(books: Price, alice: User, change: dict[str, int]) -> None:
    DailySpend.objects.filter(user=alice).update(**change)
    ((name, value),) = change.items()
    shown = {"cost": "$0.00, its records add up to $0.002."}.get(name, f"{value}, its records add up to 1")
    assert f"Daily spend of 2026-03-15, user {alice.pk}, test-model, chat, key unnamed has {name} {shown}" in found()
    assert found().count("Daily spend") == 1


def test_daily_spend_that_lacks_a_row_or_has_one_too_many_is_found(books: Price, alice: User, bob: User) -> None:
    DailySpend.objects.filter(user=alice).update(user=bob, model="ghost")
    text = found()
    assert f"user {alice.pk}, test-model, chat, key unnamed has cost $0.00, its records add up to $0.002." in text
    assert f"user {bob.pk}, ghost, chat, key unnamed has cost $0.002, its records add up to $0.00." in text


def test_sums_at_hand_that_differ_from_daily_spend_are_found(books: Price, alice: User) -> None:
    DailyTotal.objects.update(calls=7)
    MonthlySpend.objects.filter(user=alice).update(month="2026-02-01")
    text = found()
    assert "Daily total of 2026-03-15, test-model, chat, key unnamed has calls 7, daily spend adds up to 2." in text
    for month, cost, right in (("02", "0.002", "0.00"), ("03", "0.00", "0.002")):
        said = f"Monthly spend from 2026-{month}-01, user {alice.pk} has cost ${cost}, daily spend adds up to ${right}."
        assert said in text
    rollup.rebuild(first=NOON.date(), last=NOON.date())
    MonthlySpend.objects.filter(month="2026-02-01").delete()
    assert found() == ""


def test_a_note_that_is_missing_or_too_many_is_found(books: Price) -> None:
    UncountedRecord.objects.all().delete()
    assert "has cost $0.00155, its records add up to $0.00355." in found()
    UncountedRecord.objects.bulk_create(UncountedRecord(record=record) for record in UsageRecord.objects.all())
    text = found()
    assert text.count("has cost $0.002, its records add up to $0.00.") == 1, "of what alice has spent"
    assert "waits for the roll-up, but it is not settled." in text


@pytest.mark.django_db(transaction=True)
def test_it_reads_one_snapshot_and_keeps_no_writer_waiting(books: Price) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert found() == ""
    begin = [query["sql"] for query in captured if "BEGIN" in query["sql"] or "ISOLATION" in query["sql"]]
    if connection.vendor == "sqlite":
        assert begin == ["BEGIN DEFERRED"]
    else:
        assert begin[-1] == "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    differences = Audit().differences()
    hold(user=User.objects.earliest("pk"), price=books)  # writing still works as before
    assert list(differences) == []
