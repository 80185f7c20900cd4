"""The admin: what staff see and do, and what nobody does."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Deletion, Token, User
from billing import acts, budgets, closing, corrections, enforcement, money, notices, rollup
from billing.models import (
    Account,
    Act,
    Budget,
    BudgetPeriod,
    DailySpend,
    DailyTotal,
    ExportRun,
    Hold,
    ModelAlias,
    MonthlySpend,
    Notice,
    Price,
    Proposal,
    Reconciliation,
    UncountedRecord,
    UsageRecord,
)
from conversations.models import Conversation, Delta, ImportRun, Message
from tests.calls import dollars, hold, limit, make_price, spend

pytestmark = pytest.mark.django_db

SECRET = "the words that alice wrote"
READ_ONLY = [
    UsageRecord, Hold, BudgetPeriod, DailySpend, DailyTotal, MonthlySpend, UncountedRecord, Account, Act, Notice,
    ExportRun, Reconciliation, Proposal, Conversation, Message, Delta,
]  # fmt: skip


@pytest.fixture
def price(settings: Any) -> Price:
    settings.CHAT_MODELS = {"fast": "test-model", "smart": "test-model"}
    return make_price()


@pytest.fixture
def office(staff: User) -> Client:
    client = Client()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def clerk(make_user: Callable[..., User]) -> Client:
    """Staff, not a superuser, who may do what the permissions of these apps say, and not read text."""
    user = make_user("clerk", is_staff=True)
    ours = Permission.objects.filter(content_type__app_label__in=["accounts", "billing", "conversations"])
    user.user_permissions.set(ours.exclude(codename="view_message_text"))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def write_rows(user: User, price: Price) -> Conversation:
    """At least one row in every table."""
    now = timezone.now()
    spend(user=user, price=price, now=now)
    rollup.roll_up()
    spend(user=user, price=price, now=now)
    record = hold(user=user, price=price, now=now)
    enforcement.disable(users=[user], by="staff", reason="On leave.", until=None, now=now)
    acts.record(kind="disable", by=None, now=now, subject=str(user), user=user, reason="On leave.")
    notices.note(key="a thing", subject="A thing", text="It happened.", now=now)
    ModelAlias.objects.create(alias="test-2026-01-01", model="test-model")
    closing.close(month=date(2020, 1, 1), by=user, now=now)
    ExportRun.objects.create(user=user, format="csv", first=date(2020, 1, 1), last=date(2020, 1, 31), created_at=now)
    compared = Reconciliation.objects.create(
        started_at=now, by=user, by_name=str(user), first=date(2020, 1, 1), last=date(2020, 1, 31), files=[], report={}
    )  # fmt: skip
    compared.proposals.create(difference=0, day=date(2020, 1, 1), act="adjust", sentence="Book it.", amount=2_000_000)
    Token.issue(user=user)
    Deletion.objects.create(user=user, asked_at=timezone.now())
    brought = ImportRun.objects.create(user=user, file_name=SECRET, size=1, created_at=now)
    brought.parts.create(number=0, content=b"x")
    conversation = Conversation.objects.create(
        user=user, title=SECRET, system_prompt=SECRET, created_at=now, updated_at=now
    )  # fmt: skip
    question = Message.objects.create(
        conversation=conversation, depth=0, role="user", content=SECRET, html=SECRET, created_at=now
    )  # fmt: skip
    Message.objects.create(
        conversation=conversation, parent=question, depth=1, role="assistant", content=SECRET, created_at=now,
        status="generating", lease_owner=conversation.pk, lease_expires_at=now, usage_record=record,
    )  # fmt: skip
    Delta.objects.create(message=Message.objects.latest("depth"), start=0, end=5, content=SECRET)
    return conversation


def ours() -> list[Any]:
    return [model for model in apps.get_models() if model._meta.app_label in {"accounts", "billing", "conversations"}]


def address(model: Any, *rest: object) -> str:
    return "/".join(["/admin", model._meta.app_label, model._meta.model_name, *map(str, rest), ""])


def test_every_model_has_its_pages(office: Client, alice: User, price: Price) -> None:
    write_rows(alice, price)
    for model in ours():
        assert admin.site.is_registered(model), model
        assert office.get(address(model)).status_code == 200, model
        row = model._default_manager.first()
        assert row is not None, model
        assert office.get(address(model, row.pk, "change")).status_code == 200, model
        search = office.get(address(model), {"q": "1"})
        assert search.status_code == 200, model


@pytest.mark.parametrize("model", READ_ONLY)
def test_nobody_writes_in_the_books(office: Client, alice: User, price: Price, model: Any) -> None:
    write_rows(alice, price)
    row = model._default_manager.first()
    before = list(model._default_manager.values())
    assert office.get(address(model, "add")).status_code == 403
    assert office.post(address(model, row.pk, "change"), {"cost": 0}).status_code == 403
    assert office.post(address(model, row.pk, "delete"), {"post": "yes"}).status_code == 403
    office.post(address(model), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
    assert list(model._default_manager.values()) == before
    assert 'name="_save"' not in office.get(address(model, row.pk, "change")).content.decode()


def test_message_text_needs_its_own_permission(clerk: Client, office: Client, alice: User, price: Price) -> None:
    conversation = write_rows(alice, price)
    pages = [address(model) for model in (Conversation, Message, Delta)]
    pages += [address(Message, message.pk, "change") for message in Message.objects.all()]
    pages += [address(Conversation, conversation.pk, "change"), address(Delta, Delta.objects.get().pk, "change")]
    for page in pages:
        response = clerk.get(page)
        assert response.status_code == 200
        assert SECRET not in response.content.decode(), page
    assert SECRET in office.get(pages[-1]).content.decode()
    clerks = User.objects.get(email="clerk@example.com").user_permissions
    clerks.add(Permission.objects.get(codename="view_message_text"))
    assert all(SECRET in clerk.get(page).content.decode() for page in pages[3:])


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        (Message, "content__contains"), (Message, "html__istartswith"), (Message, "fingerprint"),
        (Conversation, "title__contains"), (Conversation, "system_prompt__regex"), (Delta, "content__gt"),
        (ImportRun, "file_name"), (ImportRun, "reasons__0__title"),
    ],
)  # fmt: skip
def test_nobody_asks_for_text_whom_it_is_not_shown(
    clerk: Client, office: Client, alice: User, price: Price, model: Any, lookup: str
) -> None:
    write_rows(alice, price)
    answers = [clerk.get(address(model), {lookup: text}) for text in (SECRET[:9], "nothing of the kind")]
    assert [answer.status_code for answer in answers] == [400, 400], "which rows there are says what is in them"
    assert office.get(address(model), {lookup: SECRET[:9]}).status_code == 200
    row = model._default_manager.first()
    assert 'field-fingerprint"' not in clerk.get(address(model, row.pk, "change")).content.decode()


def test_money_is_shown_in_dollars(office: Client, alice: User, price: Price) -> None:
    write_rows(alice, price)
    for model in (UsageRecord, DailySpend, BudgetPeriod):
        for page in (address(model), address(model, model.objects.earliest("pk").pk, "change")):
            content = office.get(page).content.decode()
            assert "0.002" in content, page
            assert "2000000" not in content, page


def test_a_price_can_be_added_and_then_stays(office: Client, price: Price) -> None:
    form = {
        "model": "gpt-4o", "effective_from_0": "2026-01-01", "effective_from_1": "00:00", "source": "negotiated",
        "input_price": "1.25", "cached_input_price": "0.5", "cache_write_price": "1.25", "output_price": "5.000000001",
        "tokenizer": "o200k_base", "context_window": "128000",
    }  # fmt: skip
    assert office.post(address(Price, "add"), form).status_code == 302
    added = Price.objects.get(model="gpt-4o")
    assert (added.input_price, added.output_price) == (1_250_000_000, 5_000_000_001)
    page = office.get(address(Price, added.pk, "change")).content.decode()
    assert "5.000000001" in page
    assert 'name="_save"' not in page
    assert office.post(address(Price, added.pk, "change"), form | {"output_price": "9"}).status_code == 403
    assert office.post(address(Price, added.pk, "delete"), {"post": "yes"}).status_code == 403
    assert Price.objects.get(pk=added.pk).output_price == 5_000_000_001


def test_a_price_finer_than_a_nano_dollar_is_refused(office: Client) -> None:
    response = office.post(address(Price, "add"), {"output_price": "0.0000000001", "input_price": "-1"})
    assert response.status_code == 200
    assert not Price.objects.exists()


def act(client: Client, action: str, *users: User, **fields: str) -> Any:
    chosen = {"action": action, "_selected_action": [user.pk for user in users]}
    return client.post(address(User), chosen | fields, follow=True)


def test_staff_disable_with_a_reason_and_enable(clerk: Client, alice: User, bob: User) -> None:
    asked = act(clerk, "disable", alice, bob)
    assert "alice@example.com" in asked.content.decode()
    assert not Account.objects.exists()
    again = act(clerk, "disable", alice, apply="yes", reason="")
    assert "This field is required." in again.content.decode()
    assert not Account.objects.exists()

    done = act(clerk, "disable", alice, apply="yes", reason="On leave.")
    assert "1 account disabled." in done.content.decode()
    assert "by staff: On leave." in done.content.decode()
    account = Account.objects.get()
    assert (account.user, account.disabled_by, account.reason) == (alice, "staff", "On leave.")
    act(clerk, "enable", alice)
    assert not Account.objects.disabled().exists()
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == ["Disabled: On leave.", "Enabled."]


def test_the_page_between_sends_the_same_users_back(office: Client, alice: User, bob: User) -> None:
    page = act(office, "set_budget", alice, bob).content.decode()
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', page)
    assert {(name, value) for name, value in fields if name != "csrfmiddlewaretoken"} == {
        ("_selected_action", str(alice.pk)), ("_selected_action", str(bob.pk)),
        ("action", "set_budget"), ("select_across", "0"), ("index", "0"),
    }  # fmt: skip


def test_a_budget_set_by_staff_counts_at_once(clerk: Client, alice: User, bob: User, price: Price) -> None:
    limit(user=alice, day="0")
    enforcement.enforce_budgets(now=timezone.now())
    assert Account.objects.disabled().count() == 1
    done = act(clerk, "set_budget", alice, bob, apply="yes", period="day", limit="2.50")
    assert "Budget set for 2 users: $2.50 a day." in done.content.decode()
    assert not Account.objects.disabled().exists()
    for user in (alice, bob):
        assert budgets.standings(user=user, now=timezone.now())[0].limit == dollars("2.5")
    act(clerk, "set_budget", alice, apply="yes", period="day", limit="")
    assert Budget.objects.get(user=alice, period="day").limit is None


def test_a_limit_is_raised_no_further_than_one_can_be_set(clerk: Client, alice: User, bob: User, price: Price) -> None:
    limit(user=bob, day="999999999")
    raised = {"apply": "yes", "period": "day", "more": "999999999"}
    for number in range(12):
        key = f"00000000-0000-0000-0000-{number:012}"
        page = act(clerk, "raise_limit", alice, bob, idempotency_key=key, **raised).content.decode()
        assert "No limit can be above $1,000,000,000, and that of bob@example.com would be." in page
    assert not Budget.objects.filter(user=alice, limit__isnull=False).exists(), "of all of them or of none"


@pytest.mark.parametrize("amount", ["-1", "0.0000000001", "much", "1e30"])
def test_a_limit_that_makes_no_sense_is_refused(clerk: Client, alice: User, amount: str) -> None:
    act(clerk, "set_budget", alice, apply="yes", period="day", limit=amount)
    assert not Budget.objects.exists()


def test_a_limit_changed_on_the_budget_counts_at_once(clerk: Client, alice: User, price: Price) -> None:
    limit(user=alice, day="0.5")
    budget = Budget.objects.get()
    page = clerk.get(address(Budget, budget.pk, "change")).content.decode()
    assert 'value="0.50"' in page
    assert clerk.post(address(Budget, budget.pk, "change"), {"limit": "0"}).status_code == 302
    assert Budget.objects.get().limit == 0
    assert Account.objects.get().disabled_by == "budget"
    clerk.post(address(Budget, budget.pk, "change"), {"limit": "1.000000001"})
    assert Budget.objects.get().limit == 1_000_000_001
    assert not Account.objects.disabled().exists()
    assert clerk.post(address(Budget, budget.pk, "delete"), {"post": "yes"}).status_code == 403


def test_a_budget_of_a_group_can_be_added(clerk: Client, finance: User) -> None:
    group = finance.groups.get()
    form = {"scope": "group", "group": group.pk, "period": "month", "limit": "100"}
    assert clerk.post(address(Budget, "add"), form).status_code == 302
    assert Budget.objects.get().limit == dollars("100")
    nobody = clerk.post(address(Budget, "add"), {"scope": "group", "period": "day", "limit": "1"})
    assert nobody.status_code == 200, "the form says what is wrong"
    assert Budget.objects.count() == 1


@pytest.mark.parametrize(("scope", "period"), [("group", "day"), ("group", "month"), ("everyone", "month")])
def test_a_limit_without_a_default_is_not_emptied(clerk: Client, finance: User, scope: str, period: str) -> None:
    group = finance.groups.get() if scope == "group" else None
    budget = Budget.objects.create(scope=scope, group=group, period=period, limit=dollars("100"))
    page = address(Budget, budget.pk, "change")
    assert "There is no default for this budget: give a limit." in clerk.post(page, {"limit": ""}).content.decode()
    taken = clerk.post(page, {"limit": "5", "at_limit": "deactivate"}).content.decode()
    assert "The sign-in can be taken away by a user&#x27;s own budget alone." in taken
    assert (Budget.objects.get().limit, Budget.objects.get().at_limit) == (dollars("100"), "refuse")
    assert not Act.objects.exists()


def test_a_budget_that_makes_no_sense_says_what_is_wrong(clerk: Client, finance: User) -> None:
    group = finance.groups.get()
    limit(user=finance, day="1")
    Budget.objects.create(scope="group", group=group, period="month", limit=1)
    Budget.objects.create(scope="everyone", period="day", limit=1)
    for form, said in (
        ({"scope": "user"}, "Say whose budget it is."),
        ({"scope": "group"}, "Say whose budget it is."),
        ({"scope": "everyone", "group": group.pk}, "Leave this empty here."),
        ({"scope": "user", "user": finance.pk, "group": group.pk, "period": "month"}, "Leave this empty here."),
        ({"scope": "user", "user": finance.pk}, "There is such a budget already: change that one."),
        ({"scope": "group", "group": group.pk, "period": "month"}, "There is such a budget already"),
        ({"scope": "everyone"}, "There is such a budget already"),
        ({"scope": "everyone", "period": "month", "limit": ""}, "There is no default for this budget"),
        ({"scope": "wrong"}, "Select a valid choice."),
    ):
        page = clerk.post(address(Budget, "add"), {"period": "day", "limit": "1", **form}).content.decode()
        assert said in page, form
        assert "Constraint" not in page, form
    assert Budget.objects.count() == 3


def test_disabling_needs_the_permission_to_change_users(clerk: Client, alice: User) -> None:
    User.objects.get(email="clerk@example.com").user_permissions.remove(Permission.objects.get(codename="change_user"))
    act(clerk, "disable", alice, apply="yes", reason="Because.")
    assert not Account.objects.exists()


def test_a_user_is_added_by_e_mail_address_with_a_hashed_password(office: Client) -> None:
    form = {
        "email": "New@Example.com", "name": "Nora", "usable_password": "true",
        "password1": "a long enough one", "password2": "a long enough one",
    }  # fmt: skip
    assert office.post(address(User, "add"), form).status_code == 302
    user = User.objects.get(name="Nora")
    assert user.email == "new@example.com"
    assert "a long enough one" not in user.password
    assert user.check_password("a long enough one")


def test_only_a_superuser_hands_out_powers(clerk: Client, alice: User, staff: User) -> None:
    powers = {"email": alice.email, "name": "Alice", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    assert clerk.post(address(User, alice.pk, "change"), powers).status_code == 302
    alice.refresh_from_db()
    assert (alice.is_staff, alice.is_superuser) == (False, False)
    assert clerk.post(address(User, staff.pk, "change"), {"email": "mine@example.com"}).status_code == 403
    password = {"password1": "taken over by me", "password2": "taken over by me", "usable_password": "true"}
    assert clerk.post(address(User, staff.pk, "password"), password).status_code == 403
    assert clerk.post(address(User, alice.pk, "delete"), {"post": "yes"}).status_code == 403
    assert User.objects.get(pk=staff.pk).password == staff.password


def test_nobody_gives_a_superuser_another_address(alice: User, staff: User) -> None:
    alice.is_staff = True
    alice.save()
    alice.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    own = {"user": staff.pk, "email": "mine@example.com", "verified": "on", "primary": "on"}
    assert client.post("/admin/account/emailaddress/add/", own).status_code == 404
    assert not EmailAddress.objects.exists()  # one that is verified would be sent the link for a new password


def test_a_token_can_be_revoked_and_its_secret_not_seen(office: Client, alice: User) -> None:
    token, secret = Token.issue(user=alice)
    page = office.get(address(Token, token.pk, "change")).content.decode()
    assert secret not in page
    assert token.digest not in page
    office.post(address(Token), {"action": "revoke", "_selected_action": token.pk})
    assert not Token.objects.get().holds(now=timezone.now())


@pytest.mark.parametrize("model", [User, UsageRecord, BudgetPeriod, DailySpend, Budget, Message, Hold])
def test_a_list_takes_as_many_queries_for_many_rows_and_counts_no_table(
    office: Client, make_user: Callable[..., User], price: Price, model: Any
) -> None:
    counts = []
    for number in (1, 8):
        for index in range(number):
            user = make_user(f"user{number}-{index}")
            spend(user=user, price=price, now=timezone.now())
            now = timezone.now()
            conversation = Conversation.objects.create(user=user, created_at=now, updated_at=now)
            Message.objects.create(conversation=conversation, depth=0, role="user", content="x", created_at=now)
        rollup.roll_up()
        with CaptureQueriesContext(connection) as captured:
            assert office.get(address(model)).status_code == 200
        counts.append(len(captured))
        counting = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
        assert all("LIMIT 5000" in sql for sql in counting), counting
    assert "Show counts" not in office.get(address(model)).content.decode()
    assert counts[0] == counts[1]


@pytest.mark.parametrize("who", ["alice", "finance", None])
def test_others_do_not_get_in(request: pytest.FixtureRequest, who: str | None) -> None:
    client = Client()
    if who:
        client.force_login(request.getfixturevalue(who), backend="django.contrib.auth.backends.ModelBackend")
    for model in ours():
        assert client.get(address(model)).status_code == 302


def test_features_and_money_are_shown_as_in_the_reports(office: Client, alice: User, staff: User, price: Price) -> None:
    now = timezone.now()
    spend(user=alice, price=price, now=now)
    corrections.write_off(user=alice, amount=1_500_000_000, by=staff, reason="Agreed", now=now)
    rollup.roll_up()
    record, of_user, of_day = (
        model.objects.get(feature="write_off") for model in (UsageRecord, DailySpend, DailyTotal)
    )
    month = MonthlySpend.objects.get()
    lists = [address(model) for model in (UsageRecord, DailySpend, DailyTotal)]
    rows = [address(type(row), row.pk, "change") for row in (record, of_user, of_day)]
    for path in (*lists, *rows, f"/admin/accounts/user/{alice.pk}/spend/"):
        page = office.get(path).content.decode()
        shown = re.search(
            r'<(?:td|div)[^>]*class="(?:field-feature|readonly)"[^>]*>write-off</|<td>write-off</td>', page
        )
        assert shown, path
        assert not re.search(r">\s*write_off\s*<", page), path
    for row in (record, of_user, of_day, month):
        page = office.get(address(type(row), row.pk, "change")).content.decode()
        assert money.to_json(row.cost) in page, row
        assert f">{row.cost}<" not in page, row
