"""Deleting an account: all text goes, nobody acts as them any more, and no figure of the books changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from asgiref.sync import async_to_sync
from django.conf import global_settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import leaving as account
from accounts.models import Deletion, Token, User
from accounts.statements import run
from billing import closing, enforcement, rollup, runs
from billing.models import Act, Budget, DailySpend, ExportRun, MonthClosing, UsageRecord
from billing.selection import Selection
from billing.totals import whole
from conversations import leaving
from conversations.models import Conversation, Delta, ImportRun, Message
from tests import road
from tests.calls import at_once, make_price, spend
from tests.conftest import PASSWORD
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.talks import make_conversation

MARCH = datetime(2026, 3, 15, 12, tzinfo=UTC)
WORDS = "Kolibri"


def leave(user: User) -> None:
    async_to_sync(leaving.leave)(user=user, now=timezone.now())


def finish(*, after: timedelta = timedelta(0)) -> int:
    return async_to_sync(leaving.finish)(now=timezone.now() + after)


def traces(user: User) -> dict[str, int]:
    """What says who someone was, or what they wrote."""
    found: dict[str, Any] = {
        "conversations": Conversation.objects.filter(user=user),
        "messages": Message.objects.filter(conversation__user=user),
        "deltas": Delta.objects.all(),
        "imports": ImportRun.objects.filter(user=user),
        "addresses": EmailAddress.objects.filter(user=user),
        "keys": Authenticator.objects.filter(user=user),
        "tokens": Token.objects.filter(user=user).exclude(name="", revoked_at__isnull=False),
        "names": UsageRecord.objects.filter(user=user, user_name="Alice"),
        "files": ExportRun.objects.filter(user=user, expires_at__gt=timezone.now()),
        "powers": User.objects.filter(pk=user.pk, is_superuser=True),
        "account": User.objects.filter(pk=user.pk, email__startswith="alice"),
    }
    counts = {name: rows.count() for name, rows in found.items()}
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM conversations_text WHERE owner = %s", [f"u{user.pk}"])
            counts["index"] = cursor.fetchone()[0]
    return {name: count for name, count in counts.items() if count}


def books() -> list[Any]:
    """Every figure, and the seal of each closed month."""
    rollup.roll_up()
    assert road.differences() == []
    periods = [(date(2026, 3, 1), date(2026, 3, 31)), (date(2026, 1, 1), date(2030, 1, 1))]
    money = UsageRecord.objects.order_by("pk").values_list("pk", "user_id", "cost", "input_tokens", "output_tokens")
    return [
        [whole(Selection(first=first, last=last), by="model")[0] for first, last in periods],
        list(DailySpend.objects.order_by("pk").values()),
        list(MonthClosing.objects.values_list("month", "sha256", "cost")),
        list(money),
    ]


def settle_in(user: User, folder: Path) -> None:
    """Give a user everything that one can have."""
    now = timezone.now()
    conversation = make_conversation(user, title=WORDS)
    Message.objects.create(conversation=conversation, depth=0, role="user", content=WORDS, created_at=now)
    make_conversation(user, title=WORDS, archived=True, messages=4)
    make_conversation(user, temporary=True, messages=2)
    make_conversation(user, title=WORDS, deleted_at=now, messages=2)
    brought = ImportRun.objects.create(user=user, file_name=f"{WORDS}.zip", size=1, created_at=now)
    brought.parts.create(number=0, content=WORDS.encode())
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    (folder / "usage.csv").write_text(WORDS)
    ExportRun.objects.create(
        user=user, format="csv", first=MARCH, last=MARCH, state="done", created_at=now, ended_at=now, rows=1, cost=1,
        size=1, sha256="x", file_name="usage.csv", expires_at=now + timedelta(days=1),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runs, "folder", lambda: tmp_path)
    return tmp_path


def test_by_the_page_with_a_reply_that_runs(
    enter: Callable[..., Person], alice: User, staff: User, session_cookie: Callable[[User], tuple[str, str]],
    provider: ScriptedProvider, folder: Path, settings: Any,
) -> None:  # fmt: skip
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS  # the web process's own: it would make the hash anew
    alice.set_password(PASSWORD)
    alice.save()
    price = make_price()
    spend(user=alice, price=price, now=MARCH)
    closing.close(month=MARCH.date(), by=staff, now=timezone.now())
    settle_in(alice, folder)
    program, page = enter(alice), enter(alice, cookie=session_cookie(alice))
    first = program.new_conversation()
    assert program.post(f"conversations/{first}/messages/", {"content": WORDS}).status_code == 201
    before = books()
    provider.enqueue(Script(text="One two three", hold_after=2))
    running = program.new_conversation()
    with program.stream("POST", f"conversations/{running}/messages/", json={"content": WORDS}) as stream:
        stream.until(lambda seen: "One" in seen.text)
        assert page.http.post("/accounts/delete/", data={}).headers["Location"].startswith("/accounts/reauthenticate/")
        page.http.post("/accounts/reauthenticate/", data={"password": PASSWORD, "next": "/accounts/profile/"})
        assert page.http.post("/accounts/delete/", data={}).status_code == 400, "it asks whether it is meant"
        assert Conversation.objects.filter(user=alice).count() == 6
        gone = page.http.post("/accounts/delete/", data={"sure": "on"})
        assert (gone.status_code, gone.headers["Location"]) == (302, "/accounts/deleted/")
    assert page.http.get("/accounts/deleted/").status_code == 200
    assert traces(alice) == {}
    assert runs.tidy(now=timezone.now()) == 1
    assert list(folder.iterdir()) == []
    stopped = UsageRecord.objects.latest("pk")
    assert (stopped.outcome, stopped.state, stopped.user_name) == ("stopped", "settled", f"Deleted user {alice.pk}")
    after = books()
    assert after[3][: len(before[3])] == before[3]
    assert (after[0][0], after[2]) == (before[0][0], before[2]), "March is closed, and stays what it was"
    assert after[0][1].cost == before[0][1].cost + stopped.cost
    assert program.get("conversations/").status_code == page.get("conversations/").status_code == 401
    assert page.http.get("/usage/").status_code == 302
    again = Client().post("/accounts/login/", {"login": "alice@example.com", "password": PASSWORD})
    assert again.status_code == 200, "nobody signs in by that address"
    for _ in range(2):
        leave(alice)
        finish()
    assert books() == after
    assert traces(alice) == {}


@pytest.mark.django_db(transaction=True)
def test_where_the_process_dies_beat_does_the_rest(alice: User, bob: User, folder: Path) -> None:
    price = make_price()
    for user in (alice, bob):
        spend(user=user, price=price, now=timezone.now())
        settle_in(user, folder)
    before, others = books(), traces(bob)
    stale = User.objects.get(pk=alice.pk)
    gone = leaving._begin(alice, timezone.now())  # and here it dies
    assert not gone.is_active
    assert set(traces(alice)) >= {"conversations", "messages", "imports", "names", "files"}
    with pytest.raises(enforcement.AccountDisabled), transaction.atomic():
        enforcement.check_account(run(*enforcement.locking(user=stale))[-1].rows[0], user=stale, now=timezone.now())
    stale.save()  # as a form does that was on its way: nobody may get the account back by it
    assert finish() == 1
    assert traces(alice) == {}
    make_conversation(alice, title=WORDS)  # by a request that was under way
    assert finish() == 1
    assert traces(alice) == {}
    assert Deletion.objects.get().erased_at is None
    assert finish(after=timedelta(hours=2)) == 1
    assert finish(after=timedelta(hours=3)) == 0
    assert (books(), traces(bob)) == (before, others)


@pytest.mark.django_db(transaction=True)
def test_a_budget_does_not_give_the_sign_in_back(alice: User) -> None:
    Budget.objects.create(scope="user", user=alice, period="day", limit=0, at_limit="deactivate")
    enforcement.enforce_budgets(now=timezone.now())
    leave(alice)
    Budget.objects.update(limit=10**9)
    tomorrow = timezone.now() + timedelta(days=1)
    enforcement.enforce_budgets(now=tomorrow)
    enforcement.enable(users=[alice], now=tomorrow)  # by staff who do not know
    assert not User.objects.get(pk=alice.pk).is_active


@pytest.mark.django_db(transaction=True)
def test_of_administrators_one_stays(staff: User, make_user: Callable[..., User]) -> None:
    admins = [staff, make_user("second", is_staff=True, is_superuser=True)]

    def go(number: int) -> str:
        try:
            leaving._begin(admins[number], timezone.now())
        except account.LastAdministrator as refusal:
            return refusal.code
        return "gone"

    assert sorted(at_once(go, 2)) == ["gone", "last_administrator"]
    stays = User.objects.get(is_superuser=True)
    assert (stays.is_active, enforcement.account_state(user=stays, now=timezone.now()).disabled) == (True, False)


@pytest.mark.django_db(transaction=True)
def test_the_command_asks_whether_it_is_meant(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["nobody@example.com", "--yes"], ["alice@example.com"]):
        with pytest.raises(CommandError):
            call_command("delete_account", *wrong)
    assert User.objects.get(pk=alice.pk).is_active
    call_command("delete_account", "Alice@example.com", "--yes")
    assert f"Deleted user {alice.pk}" in capsys.readouterr().out
    assert not Act.objects.exists()
