"""Two of staff who save the same in one instant: the second is told so by the form, and nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models import Model
from django.test import RequestFactory

from accounts.contested import ContestedAdmin
from accounts.models import User
from billing.models import Act, Budget, ModelAlias, MonthClosing, Price
from tests.calls import at_once, make_price
from tests.clients import signed_in
from tests.locks import until_somebody_waits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only("scaled")]  # SQLite has one writer at a time

LATER = datetime(2099, 1, 1, tzinfo=UTC)
PRICE = {
    "model": "new-model", "effective_from_0": "2099-01-01", "effective_from_1": "00:00:00", "source": "negotiated",
    "input_price": "1", "cached_input_price": "1", "cache_write_price": "1", "output_price": "1", "extra_rates": "{}",
    "tokenizer": "o200k_base", "context_window": "1000",
}  # fmt: skip
PASSWORD = {"usable_password": "false", "password1": "", "password2": ""}
THERE = "There is such a budget already: change that one."
Make = Callable[[User, Group], Any]
# What the first saves, the address and the form of the second, and what the form then says.
FORMS: dict[str, tuple[Make, str, dict[str, str], str]] = {
    "a user's budget": (
        lambda bob, _: Budget.objects.create(scope="user", user=bob, period="day", limit=1),
        "/admin/billing/budget/add/", {"scope": "user", "user": "{bob}", "period": "day", "limit": "5"}, THERE,
    ),
    "a group's budget": (
        lambda _, group: Budget.objects.create(scope="group", group=group, period="month", limit=1),
        "/admin/billing/budget/add/", {"scope": "group", "group": "{group}", "period": "month", "limit": "5"}, THERE,
    ),
    "everyone's budget": (
        lambda *_: Budget.objects.create(scope="everyone", period="day", limit=1),
        "/admin/billing/budget/add/", {"scope": "everyone", "period": "day", "limit": "5"}, THERE,
    ),
    "a price": (
        lambda *_: make_price(model="new-model", effective_from=LATER),
        "/admin/billing/price/add/", PRICE, "Price with this Model, Source and Effective from already exists.",
    ),
    "an alias": (
        lambda *_: ModelAlias.objects.create(alias="mine", model="gpt-4o"),
        "/admin/billing/modelalias/add/", {"alias": "mine", "model": "gpt-4o"}, "with this Alias already exists.",
    ),
    "a user": (
        lambda *_: User.objects.create(email="dora@example.com"),
        "/admin/accounts/user/add/", {"email": "dora@example.com", **PASSWORD}, "with this E-mail address already",
    ),
    "a group": (
        lambda *_: Group.objects.create(name="Sales"),
        "/admin/auth/group/add/", {"name": "Sales"}, "Group with this Name already exists.",
    ),
    "another name of a group": (
        lambda *_: Group.objects.create(name="Sales"),
        "/admin/auth/group/{group}/change/", {"name": "Sales"}, "Group with this Name already exists.",
    ),
}  # fmt: skip


def post(staff: User, address: str, sent: dict[str, str]) -> tuple[int, str]:
    """In a thread of its own; status and text of the answer."""
    try:
        answer = signed_in(staff).post(address, sent)
        return answer.status_code, answer.content.decode()
    finally:
        connection.close()


@pytest.mark.parametrize("what", FORMS)
def test_who_comes_second_is_told_by_the_form(what: str, bob: User, staff: User) -> None:
    """The form of the second has found nothing when the first commits: its own row waits for that."""
    group = Group.objects.create(name="Design")
    save, address, sent, said = FORMS[what]
    named = {"bob": bob.pk, "group": group.pk}
    filled = {name: value if value == "{}" else value.format(**named) for name, value in sent.items()}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first: Model = save(bob, group)
            until_waited = pool.submit(post, staff, address.format(**named), filled)
            until_somebody_waits()
        status, text = until_waited.result()
    assert status == 200
    assert said in text
    assert "was added successfully" not in text
    rows = type(first)._default_manager
    assert rows.filter(pk=first.pk).exists()
    assert not rows.filter(pk__gt=first.pk).exists()
    assert not Act.objects.exists(), "nothing was done"
    if isinstance(first, Budget):
        assert Budget.objects.get(pk=first.pk).limit == 1


def test_a_group_that_is_just_going_gets_no_budget_and_nobody_is_told_that_it_did(staff: User) -> None:
    group = Group.objects.create(name="Design")
    sent = {"scope": "group", "group": str(group.pk), "period": "month", "limit": "5", "at_limit": "refuse"}
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            group.delete()
            waiting = pool.submit(post, staff, "/admin/billing/budget/add/", sent)
            until_somebody_waits()
        status, text = waiting.result()
    assert (status, Budget.objects.exists(), Act.objects.exists()) == (200, False, False)
    assert "Select a valid choice." in text
    assert "was added successfully" not in text


def test_of_many_at_once_one_adds_the_budget(bob: User, staff: User) -> None:
    sent = {"scope": "user", "user": str(bob.pk), "period": "month", "limit": "5", "at_limit": "refuse"}
    doors = [signed_in(staff) for _ in range(4)]
    answers = at_once(lambda number: str(doors[number].post("/admin/billing/budget/add/", sent).status_code), 4)
    assert sorted(answers) == ["200", "200", "200", "302"]
    assert Budget.objects.filter(user=bob, period="month").count() == 1
    assert Act.objects.count() == 1


def test_every_form_that_adds_is_such_a_one(staff: User) -> None:
    request = RequestFactory().get("/admin/")
    request.user = staff
    adding = {model: form for model, form in admin.site._registry.items() if form.has_add_permission(request)}
    assert {model for model, form in adding.items() if not isinstance(form, ContestedAdmin)} == {MonthClosing}
    assert {Budget, Price, ModelAlias, User, Group} <= adding.keys()
