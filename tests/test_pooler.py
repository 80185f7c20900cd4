"""`DATABASE_POOLER`: the product behind PgBouncer, which gives each transaction whichever connection is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import User
from billing import money
from billing.models import UsageRecord
from tests.calls import at_once
from tests.doors import DOORS
from tests.people import Person
from tests.pooler import PgBouncer
from tests.provider import ScriptedProvider
from tests.services import Web
from tests.talks import make_conversation

pytestmark = [pytest.mark.only("scaled"), pytest.mark.usefixtures("prices")]

PEOPLE, SENDS = 12, 5  # so many, each so often, one after the other


def test_everything_is_held_and_settled_through_a_pooler(
    start_web: Callable[..., Web], make_user: Callable[..., User], process_environment: dict[str, str],
    provider: ScriptedProvider,
) -> None:  # fmt: skip
    with PgBouncer(process_environment["DATABASE_URL"]) as pooler, ExitStack() as stack:
        web = start_web(DATABASE_URL=pooler.url, DATABASE_POOLER="true", CHAT_RATE="1000/m", CHAT_RATE_IP="1000/m")
        doors = []
        for number in range(PEOPLE):
            user = make_user(f"user{number}")
            person, conversation = Person(web, user), str(make_conversation(user).pk)
            stack.callback(person.http.close)
            doors.append(stack.enter_context(list(DOORS.values())[number % len(DOORS)](person, conversation)))

        def talk(number: int) -> str:
            return " ".join(doors[number].send(f"Message {count}").code for count in range(SENDS))

        answers = at_once(talk, PEOPLE)
        assert Counter(" ".join(answers).split()) == {"complete": PEOPLE * SENDS}, web.log[-3000:]

    bill = provider.wait_idle()
    costs = UsageRecord.objects.filter(state="settled").values_list("cost", flat=True)
    assert len(bill.rows) == len(costs) == PEOPLE * SENDS
    assert bill.total == sum(map(money.to_dollars, costs), Decimal(0))
    call_command("rollup_spend", stdout=StringIO())
    call_command("audit_ledger", stdout=StringIO())
