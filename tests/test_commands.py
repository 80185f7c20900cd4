"""What operators type."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from celery import current_app
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Token, User
from accounts.tokens import token_of
from billing import prices, tasks
from billing.models import DailySpend, Price
from conversations import rendered
from conversations.models import Message
from conversations.rendering import render
from tests.calls import NOON, at_once, dollars, make_price, spend
from tests.talks import make_conversation

pytestmark = pytest.mark.django_db


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command(*arguments)
    return capsys.readouterr().out


def test_seed_demo_makes_three_people_and_prints_their_passwords_once(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "seed_demo")
    passwords = dict(re.findall(r"(\S+@example\.com) +password (\S+)", out))
    assert set(passwords) == {"user@example.com", "staff@example.com", "finance@example.com"}
    for email, password in passwords.items():
        assert User.objects.get(email=email).check_password(password)
        address = EmailAddress.objects.get(email=email)
        assert (address.verified, address.primary) == (True, True)
    staff = User.objects.get(email="staff@example.com")
    assert (staff.is_staff, staff.is_superuser) == (True, True)
    assert list(User.objects.filter(is_staff=True)) == [staff]
    assert [user.email for user in Group.objects.get(name="Finance").user_set.all()] == ["finance@example.com"]
    again = run(capsys, "seed_demo")
    assert "password unchanged" in again
    assert "manage.py seed_demo --password P" in again
    assert "--password" not in out
    assert not any(password in again for password in passwords.values())
    assert (User.objects.count(), EmailAddress.objects.count()) == (3, 3)
    assert User.objects.get(email="user@example.com").check_password(passwords["user@example.com"])


def test_seed_demo_takes_a_password_also_for_those_who_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "seed_demo")
    run(capsys, "seed_demo", "--password", "a password of mine")
    assert all(user.check_password("a password of mine") for user in User.objects.all())


def test_create_token_prints_a_token_that_opens_the_door(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    secret = run(capsys, "create_token", "Alice@Example.com", "--name", "my script", "--days", "7").strip()
    token = token_of(secret=secret, now=timezone.now())
    assert token is not None
    assert token.user == alice
    token = Token.objects.get()
    assert token.name == "my script"
    assert token.holds(now=timezone.now() + timedelta(days=6))
    assert not token.holds(now=timezone.now() + timedelta(days=8))
    assert secret not in str(vars(token))


def test_create_token_refuses_a_stranger_and_one_who_may_not_sign_in(alice: User) -> None:
    User.objects.update(is_active=False)
    for email in ("nobody@example.com", alice.email):
        with pytest.raises(CommandError, match=email):
            call_command("create_token", email)
    assert not Token.objects.exists()


def test_create_token_refuses_a_name_that_is_too_long(alice: User) -> None:
    with pytest.raises(CommandError, match="at most 100 characters"):
        call_command("create_token", alice.email, "--name", "x" * 101)
    assert not Token.objects.exists()


def test_sync_prices_brings_the_catalogue_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert int(run(capsys, "sync_prices").split()[0]) == Price.objects.count() > 20
    assert run(capsys, "sync_prices") == "0 new prices.\n"


@pytest.mark.parametrize(
    ("model", "prices_usd", "tokenizer", "window", "takes_temperature"),
    [
        ("gpt-4o-mini", ("0.15", "0.075", "0.15", "0.6"), "o200k_base", 128_000, True),
        ("gpt-4o", ("2.5", "1.25", "2.5", "10"), "o200k_base", 128_000, True),
        ("gpt-4o-2024-08-06", ("2.5", "1.25", "2.5", "10"), "o200k_base", 128_000, True),
        ("gpt-4", ("30", "30", "30", "60"), "cl100k_base", 8192, True),
        ("gpt-3.5-turbo", ("0.5", "0.5", "0.5", "1.5"), "cl100k_base", 16_385, True),
        ("o3", ("2", "0.5", "2", "8"), "o200k_base", 200_000, False),
        ("gpt-5-mini", ("0.25", "0.025", "0.25", "2"), "o200k_base", 400_000, False),
        # dearer from 272,000 tokens on, so the window ends there
        ("gpt-5.4", ("2.5", "0.25", "2.5", "15"), "o200k_base", 272_000, False),
        ("smollm2-135m-instruct", ("0.02", "0.02", "0.02", "0.08"), "bytes", 5376, True),
    ],
)
def test_synced_prices_are_those_of_the_catalogue(
    model: str, prices_usd: tuple[str, ...], tokenizer: str, window: int, takes_temperature: bool
) -> None:
    prices.sync(now=NOON)
    price = prices.in_force(model=model, now=NOON)
    found = (price.input_price, price.cached_input_price, price.cache_write_price, price.output_price)
    assert found == tuple(map(dollars, prices_usd))
    assert (price.tokenizer, price.context_window) == (tokenizer, window)
    assert price.takes_temperature == takes_temperature
    assert price.source == ("demo" if model.startswith("smollm2") else "catalogue")
    assert prices.in_force(model=model, now=NOON - timedelta(days=1000)) == price, "the first price has always held"


@pytest.mark.parametrize("word", [":", "audio", "realtime", "image", "search", "embedding", "whisper", "codex", "-pro"])
def test_what_tokens_alone_do_not_price_is_left_out(word: str) -> None:
    prices.sync(now=NOON)
    assert not Price.objects.filter(model__contains=word).exists()


def test_a_changed_price_is_a_new_row_and_the_old_one_stays() -> None:
    prices.sync(now=NOON)
    old = Price.objects.get(model="gpt-4o")
    Price.objects.filter(pk=old.pk).update(output_price=dollars("9"))
    later = NOON + timedelta(days=1)
    assert [price.model for price in prices.sync(now=later)] == ["gpt-4o"]
    rows = Price.objects.filter(model="gpt-4o").order_by("effective_from")
    assert [(row.effective_from, row.output_price) for row in rows] == [
        (prices.FIRST_INSTANT, dollars("9")), (later, dollars("10")),
    ]  # fmt: skip
    assert prices.in_force(model="gpt-4o", now=NOON).pk == old.pk


@pytest.mark.django_db(transaction=True)
def test_a_changed_price_is_brought_in_once_by_who_sync_at_the_same_time() -> None:
    prices.sync(now=NOON)
    Price.objects.filter(model="gpt-4o").update(output_price=dollars("9"))
    later = NOON + timedelta(days=1)
    found = at_once(lambda number: str(len(prices.sync(now=later - timedelta(milliseconds=number)))), 4)
    assert sorted(found) == ["0", "0", "0", "1"]
    assert Price.objects.filter(model="gpt-4o").count() == 2


def test_a_negotiated_price_stays_in_force() -> None:
    prices.sync(now=NOON)
    mine = make_price(model="gpt-4o", effective_from=NOON)
    assert prices.sync(now=NOON + timedelta(days=1)) == []
    assert prices.in_force(model="gpt-4o", now=NOON + timedelta(days=2)) == mine


def test_rollup_spend_rolls_up_and_computes_days_anew(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    spend(user=alice, price=make_price())
    assert run(capsys, "rollup_spend") == "1 usage records added to daily spend.\n"
    DailySpend.objects.update(cost=0)
    out = run(capsys, "rollup_spend", "--from", "2026-03-14", "--to", "2026-03-16")
    assert out == "3 days computed anew from 1 usage records.\n"
    assert DailySpend.objects.get().cost == dollars("0.002")


@pytest.mark.parametrize("arguments", [["--from", "2026-03-14"], ["--from", "2026-03-14", "--to", "2026-03-13"]])
def test_rollup_spend_wants_both_dates_in_order(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="the earlier date first"):
        call_command("rollup_spend", *arguments)


@pytest.mark.parametrize("day", ["0001-01-01", "1999-12-31", "2101-01-01", "9999-12-31"])
@pytest.mark.parametrize(
    "command",
    [["rollup_spend"], ["export_usage"], ["export_usage", "--check"], ["reconcile", "none.json"], ["close_month"]],
)
def test_a_command_takes_days_of_years_that_the_books_can_have(command: list[str], day: str) -> None:
    days = [day[:7], "--by", "nobody@example.com"] if command == ["close_month"] else ["--from", day, "--to", day]
    with pytest.raises(CommandError, match="The year must be one from 2000 to 2100"):
        call_command(*command, *days)


def test_beat_rolls_up(alice: User) -> None:
    spend(user=alice, price=make_price())
    tasks.roll_up_spend.apply(throw=True)
    assert DailySpend.objects.get().calls == 1


def test_beat_names_tasks_that_exist(settings: Any) -> None:
    named = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values() if entry["task"].startswith("billing.")}
    assert named <= set(current_app.tasks)
    assert {tasks.roll_up_spend.name, tasks.enforce_budgets.name, tasks.send_notices.name} <= named


def test_render_messages_brings_old_answers_up_to_date(capsys: pytest.CaptureFixture[str], alice: User) -> None:
    conversation = make_conversation(alice, messages=5)
    old, new, *_ = answers = list(conversation.messages.filter(role="assistant"))
    for answer, html in ((old, "<ul>\n<li>one</li>\n</ul>\n"), (new, render("- one"))):
        Message.objects.filter(pk=answer.pk).update(content="- one", html=html)
    assert len(answers) == 2
    assert run(capsys, "render_messages") == "1 of 2 answers rendered anew.\n"
    for message in answers:
        message.refresh_from_db()
    assert old.html == new.html == render("- one")
    assert run(capsys, "render_messages") == "0 of 2 answers rendered anew.\n"


@pytest.mark.django_db(transaction=True)
def test_render_messages_goes_on_beside_who_writes(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    make_conversation(alice, messages=9)
    Message.objects.filter(role="assistant").update(content="- one", html="<ul>\n<li>one</li>\n</ul>\n")

    def meanwhile(text: str) -> str:
        at_once(lambda _number: str(User.objects.update(name="Somebody")), 1)
        return render(text)

    monkeypatch.setattr(rendered, "render_by_blocks", meanwhile)
    monkeypatch.setattr(rendered, "STEP", 2)
    assert rendered.render_anew() == (4, 4)
    assert set(Message.objects.filter(role="assistant").values_list("html", flat=True)) == {render("- one")}
