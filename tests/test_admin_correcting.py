"""Correcting one usage record in the admin: who may, what is booked, what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone
from django.utils.text import capfirst

from accounts.models import User
from billing import budgets, corrections
from billing.admin.correcting import CorrectionForm
from billing.audit import Audit
from billing.models import Act, Price, UsageRecord
from tests.calls import dollars, hold, make_price, spend
from tests.clients import signed_in

pytestmark = pytest.mark.django_db
RIGHT = {
    "act": "correct", "input_tokens": "500", "cached_input_tokens": "100", "cache_write_tokens": "0",
    "output_tokens": "250", "reasoning_tokens": "0", "reason": "Ticket 7: counted twice.",
}  # fmt: skip


@pytest.fixture
def price(db: None) -> Price:
    return make_price()


def address(record: UsageRecord, page: str = "correct") -> str:
    return f"/admin/billing/usagerecord/{record.pk}/{page}/"


def test_each_box_says_what_it_takes(alice: User, price: Price) -> None:
    fields = CorrectionForm(None, record=spend(user=alice, price=price)).fields
    labels = [str(fields[name].label) for name in UsageRecord.TOKENS]
    assert labels == [str(capfirst(UsageRecord._meta.get_field(name).verbose_name)) for name in UsageRecord.TOKENS]


def test_what_describes_a_box_is_on_the_page(alice: User, staff: User, price: Price) -> None:
    html = signed_in(staff).get(address(spend(user=alice, price=price))).content.decode()
    named = re.findall(r'aria-describedby="([^"]+)"', html)
    assert named
    assert set(named) <= set(re.findall(r' id="([^"]+)"', html))


def test_the_right_tokens_are_booked_beside_the_record_with_who_and_why(alice: User, staff: User, price: Price) -> None:
    record = spend(user=alice, price=price, now=timezone.now())
    client = signed_in(staff)
    assert f'href="{address(record)}"' in client.get(address(record, "change")).content.decode()
    assert 'value="1000"' in client.get(address(record)).content.decode()
    done = client.post(address(record), RIGHT, follow=True).content.decode()
    assert "cost $0.002; record" in done
    reversal, replacement = UsageRecord.objects.order_by("pk")[1:]
    assert (reversal.kind, reversal.corrects, reversal.cost) == ("reversal", record, -dollars("0.002"))
    assert (replacement.kind, replacement.price, replacement.cost) == ("replacement", price, dollars("0.00091"))
    assert {(row.booked_by, row.reason) for row in (reversal, replacement)} == {(staff, RIGHT["reason"])}
    act = Act.objects.get()
    assert (act.kind, act.by, act.reason, act.before, act.after) == (
        "correction", staff, RIGHT["reason"], "$0.002", "$0.00091"
    )  # fmt: skip
    assert f'<a href="{address(replacement, "change")}">' in done
    assert budgets.standings(user=alice, now=timezone.now())[0].spent == dollars("0.00091")
    again = client.post(address(record), RIGHT)
    assert "has been corrected already" in again.content.decode()
    assert UsageRecord.objects.count() == 3
    taken = client.post(address(replacement), {**RIGHT, "act": "take_back"}, follow=True).content.decode()
    assert "is taken back by record" in taken
    assert sum(UsageRecord.objects.values_list("cost", flat=True)) == 0
    assert client.get(address(UsageRecord.objects.latest("pk"))).status_code == 404, "a reversal stays"
    assert list(Audit().differences()) == []


def test_what_was_taken_back_by_mistake_is_booked_again(alice: User, staff: User, price: Price) -> None:
    record, client = spend(user=alice, price=price, now=timezone.now()), signed_in(staff)
    back = {"act": "take_back", "reason": "Ticket 8."}
    assert client.post(address(record), RIGHT | back).status_code == 302
    again = client.post(address(record), RIGHT | back).content.decode()
    assert "This record has been taken back already." in again, "and there is no replacement to correct"
    assert client.post(address(record), RIGHT).status_code == 302
    assert list(UsageRecord.objects.order_by("pk").values_list("kind", "cost", "calls")) == [
        ("call", dollars("0.002"), 1), ("reversal", -dollars("0.002"), -1), ("replacement", dollars("0.00091"), 1)
    ]  # fmt: skip
    act = Act.objects.latest("pk")
    assert (act.before, act.after, act.amount) == ("$0.00", "$0.00091", dollars("0.00091"))
    assert budgets.standings(user=alice, now=timezone.now())[0].spent == dollars("0.00091")
    assert "Correct its replacement." in client.post(address(record), RIGHT).content.decode()
    assert UsageRecord.objects.count() == 3
    assert list(Audit().differences()) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"reason": " "}, "This field is required."),
        ({"reason": "x" * 501}, "at most 500 characters"),
        ({"input_tokens": "-1"}, "greater than or equal to 0"),
        ({"input_tokens": "9" * 30}, "less than or equal to"),
        ({"input_tokens": ""}, "This field is required."),
        ({"input_tokens": "99"}, "Cached and cache-write tokens are among these."),
        ({"reasoning_tokens": "251"}, "Reasoning tokens are among these."),
        ({"act": "delete"}, "Select a valid choice"),
    ],
)
def test_what_makes_no_sense_is_refused(
    alice: User, staff: User, price: Price, wrong: dict[str, str], said: str
) -> None:
    record = spend(user=alice, price=price)
    answer = signed_in(staff).post(address(record), RIGHT | wrong)
    assert (answer.status_code, said in answer.content.decode()) == (200, True)
    assert (UsageRecord.objects.count(), Act.objects.count()) == (1, 0)


def test_a_running_call_waits_and_an_amount_is_only_taken_back(alice: User, staff: User, price: Price) -> None:
    client, running = signed_in(staff), hold(user=alice, price=price)
    assert "has not ended yet" in client.post(address(running), RIGHT).content.decode()
    credit = corrections.grant_credit(user=alice, amount=5, by=staff, reason="sorry", now=timezone.now())
    assert "input_tokens" not in client.get(address(credit)).content.decode()
    assert client.post(address(credit), RIGHT).status_code == 200
    assert UsageRecord.objects.count() == 2
    assert client.post(address(credit), {"act": "take_back", "reason": "A mistake."}).status_code == 302
    assert UsageRecord.objects.latest("pk").cost == 5


def test_correcting_needs_the_permission_to_book(alice: User, finance: User, make_user: Any, price: Price) -> None:
    record = spend(user=alice, price=price)
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_usagerecord"))
    assert "Correct</a>" not in signed_in(clerk).get(address(record, "change")).content.decode()
    for user, status in ((clerk, 403), (alice, 302), (finance, 302)):
        for answer in (signed_in(user).get(address(record)), signed_in(user).post(address(record), RIGHT)):
            assert answer.status_code == status
    assert (UsageRecord.objects.count(), Act.objects.count()) == (1, 0)
    clerk.user_permissions.add(Permission.objects.get(codename="add_usagerecord"))
    assert signed_in(clerk).post(address(record), RIGHT).status_code == 302
    assert signed_in(clerk).get("/admin/billing/usagerecord/999999/correct/").status_code == 404
    assert UsageRecord.objects.count() == 3
