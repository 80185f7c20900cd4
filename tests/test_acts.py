"""The trail of what people did about money: complete, and only added to."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import acts, corrections, enforcement, limiting, money
from billing.models import Account, Act, Budget
from tests.calls import NOON, at_once, dollars, limit

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(staff: User, client: Client) -> Client:
    client.force_login(staff)
    return client


def entries() -> list[tuple[str, ...]]:
    return list(Act.objects.order_by("pk").values_list("kind", "by_name", "subject", "before", "after", "reason"))


def test_an_act_says_who_did_what_to_whom_and_why(alice: User, staff: User) -> None:
    limiting.set_limit(user=alice, period="day", limit=dollars("2"), by=staff, now=NOON, reason="A big week.")
    act = Act.objects.get()
    assert (act.at, act.by, act.by_name, act.user) == (NOON, staff, staff.email, alice)
    assert entries() == [
        (
            "limit", staff.email, "alice@example.com, a day", "", "$2.00; at the limit: refuse new messages",
            "A big week.",
        )
    ]  # fmt: skip
    limiting.set_limit(user=alice, period="day", limit=dollars("2"), by=staff, now=NOON)
    assert Act.objects.count() == 1, "nothing changed"
    limiting.set_limit(user=alice, period="day", limit=None, by=None, now=NOON)
    assert Act.objects.latest("pk").by_name == "a command"


@pytest.mark.django_db(transaction=True)
def test_limits_that_are_changed_at_once_follow_one_another_in_it(alice: User, staff: User) -> None:
    limit(user=alice, day="10")
    why = {"user": alice, "period": "day", "by": staff, "now": NOON}

    def change(number: int) -> str:
        if number % 2:
            return str(limiting.raise_limit(more=dollars("5"), **why))
        return str(limiting.set_limit(limit=dollars("100") * number, **why))

    at_once(change, 8)
    steps = [(before.split(";")[0], after.split(";")[0]) for _, _, _, before, after, _ in entries()]
    assert [before for before, _ in steps] == ["$10.00", *(after for _, after in steps[:-1])]
    assert steps[-1][1] == f"${money.to_json(Budget.objects.get().limit)}"


@pytest.mark.django_db(transaction=True)
def test_what_is_raised_at_once_adds_up(alice: User, staff: User) -> None:
    why = {"user": alice, "period": "month", "by": staff, "now": NOON}
    at_once(lambda number: str(limiting.raise_limit(more=dollars("5"), **why)), 4)
    assert Budget.objects.get().limit == dollars("30"), "the default of $10, and 4 times $5"
    assert entries()[0][3] == "the default; at the limit: refuse new messages"


def test_nobody_changes_or_deletes_an_act(alice: User, staff: User) -> None:
    act = acts.record(kind=Act.Kind.CREDIT, by=staff, now=NOON, subject="x", user=alice, amount=-5)
    act.subject = "y"
    for change in (act.save, act.delete, lambda: Act.objects.update(reason="z"), lambda: Act.objects.all().delete()):
        with pytest.raises(IntegrityError, match="only added to"), transaction.atomic():
            change()
    assert entries() == [("credit", staff.email, "x", "", "", "")]


def test_what_staff_do_to_accounts_is_in_it(office: Client, alice: User, bob: User, staff: User) -> None:
    users = reverse("admin:accounts_user_changelist")
    chosen = {"_selected_action": [alice.pk, bob.pk]}
    office.post(users, {"action": "disable", "apply": "yes", "reason": "On leave.", **chosen})
    office.post(users, {"action": "enable", **chosen})
    office.post(users, {"action": "set_budget", "apply": "yes", "period": "month", "limit": "7", **chosen})
    assert sorted(entries()) == sorted(
        [("disable", staff.email, user.email, "", "", "On leave.") for user in (alice, bob)]
        + [("enable", staff.email, user.email, "", "", "") for user in (alice, bob)]
        + [
            ("limit", staff.email, f"{user.email}, a month", "", "$7.00; at the limit: refuse new messages", "")
            for user in (alice, bob)
        ]
    )
    enforcement.enforce_budgets(now=timezone.now())
    assert Act.objects.count() == 6, "what budgets do by themselves is no act"


def test_a_budget_changed_in_the_admin_is_in_it(office: Client, alice: User) -> None:
    group = Group.objects.create(name="Sales")
    add = {"scope": "group", "group": group.pk, "period": "day", "limit": "5", "at_limit": "refuse"}
    assert office.post(reverse("admin:billing_budget_add"), add).status_code == 302
    limit(user=alice, day="1")
    own = Budget.objects.get(user=alice)
    change = reverse("admin:billing_budget_change", args=[own.pk])
    office.post(change, {"limit": "3", "at_limit": "deactivate"})
    office.post(change, {"limit": "3", "at_limit": "deactivate"})
    assert [entry[2:5] for entry in entries()] == [
        ("Sales, a day", "", "$5.00; at the limit: refuse new messages"),
        (
            "alice@example.com, a day", "$1.00; at the limit: refuse new messages",
            "$3.00; at the limit: refuse new messages and take the sign-in away",
        ),
    ]  # fmt: skip


def test_the_admin_shows_it_and_offers_nothing_else(office: Client, alice: User, staff: User) -> None:
    corrections.grant_credit(user=alice, amount=dollars("2"), by=staff, reason="An outage.", now=NOON)
    listed = reverse("admin:billing_act_changelist")
    text = office.get(listed, {"q": "alice@"}).content.decode()
    assert all(words in text for words in ("granted credit", "Credit for alice@example.com", "-2.00", "An outage."))
    act = Act.objects.get()
    shown = office.get(reverse("admin:billing_act_change", args=[act.pk])).content.decode()
    assert "An outage." in shown
    assert 'name="_save"' not in shown
    for name in ("change", "delete"):
        assert office.post(reverse(f"admin:billing_act_{name}", args=[act.pk]), {"post": "yes"}).status_code == 403
    assert office.get(reverse("admin:billing_act_add")).status_code == 403
    assert Act.objects.get() == act


def test_who_staff_sign_out_is_not_signed_in_by_a_budget(office: Client, alice: User) -> None:
    Account.objects.create(
        user=alice, disabled_by="budget", disabled_at=NOON, disabled_until=NOON + timedelta(days=1), sign_in_taken=True
    )
    form = {"email": alice.email, "name": alice.name}  # active is not ticked, and was
    office.post(reverse("admin:accounts_user_change", args=[alice.pk]), form)
    assert not Account.objects.get().sign_in_taken
    enforcement.enforce_budgets(now=NOON + timedelta(days=2))
    assert not User.objects.get(pk=alice.pk).is_active
