"""200 sends at once, with room for 10: not one too many, not one too few, by the provider's own bill."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from io import StringIO
from threading import Event, Thread

import httpx2
import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from billing import bounds, budgets, money, pricing
from billing.models import Budget, BudgetPeriod, Price, UsageRecord
from conversations.models import Message
from tests.calls import at_once
from tests.doors import DOORS, Door, Outcome
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation

SENDS, ROOM = 200, 10
CAP = 120  # output tokens
CONTENT = "Hello there"
PROMPT = 9  # its tokens, with the chat format's
HELD = Script(delta_count=2 * CAP, hold_after=CAP // 2)  # in the end each runs into its cap, so it costs its hold


def worst_case(price: Price, output_tokens: int) -> int:
    return pricing.worst_case(input_tokens=PROMPT, output_tokens=output_tokens, rates=price)


@pytest.mark.parametrize("whose", ["one user's", "a group's"])
def test_room_for_ten_of_two_hundred(
    start_web: Callable[..., Web], make_user: Callable[..., User], prices: dict[str, Price],
    provider: ScriptedProvider, scaled: bool, whose: str,
) -> None:  # fmt: skip
    users = [make_user(f"user{number}") for number in range(1 if whose == "one user's" else 20)]
    hold = worst_case(prices["gpt-4o-mini"], CAP)
    # An eleventh answer, were it the shortest useful one, would not fit.
    limit = ROOM * hold + worst_case(prices["gpt-4o-mini"], bounds.USEFUL_OUTPUT_TOKENS) - 1
    if len(users) == 1:
        Budget.objects.create(scope="user", user=users[0], period="day", limit=limit)
    else:
        group = Group.objects.create(name="Research")
        group.user_set.set(users)
        Budget.objects.create(scope="group", group=group, period="day", limit=limit)
    webs = [start_web(CHAT_MAX_OUTPUT_TOKENS=str(CAP)) for _ in range(2 if scaled else 1)]
    people = [[Person(webs[0], user)] for user in users]
    for places in people:
        places += [places[0].at(web) for web in webs[1:]]
    for user in users:
        budgets.opened(user=user, now=timezone.now())
    provider.set_default(HELD)
    outcomes = race(people, users, provider)
    decided = Counter(outcome.split()[1] for outcome in outcomes.elements())
    assert decided == {"complete": ROOM, "budget_exhausted": SENDS - ROOM}, outcomes
    bill = provider.wait_idle()
    assert len(bill.rows) == ROOM
    assert bill.total <= money.to_dollars(limit)
    costs = list(UsageRecord.objects.values_list("cost", flat=True))
    assert bill.total == sum(map(money.to_dollars, costs), Decimal(0)) == money.to_dollars(ROOM * hold)
    assert Message.objects.count() == 2 * ROOM
    assert not BudgetPeriod.objects.exclude(held=0).exists()
    assert BudgetPeriod.objects.get(budget__limit=limit).spent == sum(costs)
    call_command("rollup_spend", stdout=StringIO())
    call_command("audit_ledger", stdout=StringIO())


def race(people: list[list[Person]], users: list[User], provider: ScriptedProvider) -> Counter[str]:
    """Send from everyone at once, by all doors and processes, each in a conversation of its own; doors and outcomes.

    The provider holds those that were admitted until every send has been decided.
    """
    kinds = list(DOORS.values())
    refused: list[int] = []

    def let_go() -> None:
        provider.wait_until(lambda bill: bill.waiting + len(refused) >= SENDS, timeout=60)
        provider.release()

    locked = Event()

    with ExitStack() as stack:
        doors = []
        for number in range(SENDS):
            places, user = people[number % len(people)], users[number % len(users)]
            conversation = str(make_conversation(user, title="Race").pk)
            person = places[number // len(people) % len(places)]
            doors.append(stack.enter_context(kinds[number % 3](person, conversation)))

        def one(number: int) -> str:
            outcome = persistently(doors[number], key=f"send {number}")
            if outcome.code != "complete":
                refused.append(number)
            return f"{doors[number].name} {outcome.code}"

        gate, crowd = Thread(target=let_go), Thread(target=crowded, args=(locked,))
        for thread in (crowd, gate):
            thread.start()
        locked.wait(timeout=10)
        outcomes = Counter(at_once(one, SENDS))
        for thread in (crowd, gate):
            thread.join()
    return outcomes


def persistently(door: Door, *, key: str) -> Outcome:
    """Send, and where the connection breaks, send again with the same key, as a client does: 200 come at once."""
    for _ in range(5):
        try:
            return door.send(CONTENT, key=key)
        except (httpx2.TransportError, OSError):
            time.sleep(0.5)
    return door.send(CONTENT, key=key)


def crowded(locked: Event) -> None:
    """Keep the running budget periods locked until more sends than there is room for have read them and want them.

    So all of these have seen enough room. SQLite lets one writer in at a time, and the sends of one
    user queue at their account: there is nothing to wait for then, and this gives up soon.
    """
    with transaction.atomic():
        list(BudgetPeriod.objects.select_for_update())
        locked.set()
        until = time.monotonic() + 5
        while connection.vendor == "postgresql" and time.monotonic() < until:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0] > ROOM:
                    break
            time.sleep(0.01)
    connection.close()
