"""The web process dies in mid-reply: what was shown is stored, and every call is settled once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from io import StringIO

import pytest
from django.core.management import call_command
from websockets.exceptions import ConnectionClosed

from accounts.models import User
from billing import money
from billing.models import BudgetPeriod, Price, UsageRecord
from conversations.models import Message
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web
from tests.tabs import Seen

LEASE = 2.0  # seconds
REPLIES = 6


def lease_has_run_out() -> None:
    """Wait until nobody holds any reply any more."""
    expires = max(Message.objects.generating().values_list("lease_expires_at", flat=True))
    time.sleep(max(0.0, expires.timestamp() - time.time()) + 0.01)


def talk_until_killed(web: Web, owner: Person) -> dict[str, Seen]:
    """Replies under way, each shown to some place in a tab, when the process is killed: by conversation."""
    shown: dict[str, Seen] = {}
    tabs = []
    for number in range(REPLIES):
        conversation = owner.new_conversation()
        tab = owner.socket(conversation)
        tabs.append(tab)
        tab.tell(type="send", content=f"Question {number}", key="k")
        message_id = tab.next()["message"]["id"]
        shown[conversation] = tab.seen[message_id]
    for number, (tab, seen) in enumerate(zip(tabs, shown.values(), strict=True)):
        while len(seen.text) < 30 * number:
            tab.next()
    web.kill()
    for tab in tabs:  # what was already on its way to the tab is shown too
        with suppress(ConnectionClosed):
            while True:
                tab.next()
    return shown


def check(owner: Person, shown: dict[str, Seen], provider: ScriptedProvider) -> None:
    """Every reply is interrupted with what was shown, at least, and settled once."""
    sent = {row.text for row in provider.wait_idle().rows}
    for conversation, seen in shown.items():
        reply = owner.reply(conversation)
        assert (reply["status"], reply["usage"]["estimated"]) == ("interrupted", True)
        assert reply["content"].startswith(seen.text)
        assert any(text.startswith(reply["content"]) for text in sent)
    records = UsageRecord.objects.all()
    assert records.count() == len(provider.bill.rows) == len(shown)
    assert {record.state for record in records} == {"settled"}
    assert {record.outcome for record in records} == {"interrupted"}
    total = sum(record.cost for record in records)
    assert all(period.spent == total and period.held == 0 for period in BudgetPeriod.objects.all())
    assert 0 < money.to_dollars(total) <= provider.bill.total
    call_command("rollup_spend", stdout=StringIO())
    call_command("audit_ledger", stdout=StringIO())


@pytest.mark.parametrize("who", ["the command", "readers"])
def test_killed_in_mid_reply(
    start_web: Callable[..., Web], alice: User, prices: dict[str, Price], provider: ScriptedProvider, who: str
) -> None:
    provider.set_default(Script(delta_count=900, delay_between=0.01))
    web = start_web(CHAT_LEASE_SECONDS=str(LEASE))
    owner = Person(web, alice)
    shown = talk_until_killed(web, owner)
    web.start()
    running = [str(pk) for pk in Message.objects.generating().values_list("pk", flat=True)]
    assert len(running) == REPLIES
    if who == "the command":
        lease_has_run_out()
        call_command("recover_replies", stdout=StringIO())
        call_command("recover_replies", stdout=StringIO())
        assert owner.follow(running[0]).kinds[-2:] == ["warning", "done"]
    else:
        for message_id in running:
            seen = owner.follow(message_id)  # while the lease still runs, too: it waits for its end
            assert (seen.events[-2]["code"], seen.last["message"]["content"]) == ("interrupted", seen.text)
    check(owner, shown, provider)


def test_stop_of_a_reply_whose_process_is_gone(
    start_web: Callable[..., Web], alice: User, prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    provider.set_default(Script(delta_count=900, delay_between=0.01))
    web = start_web(CHAT_LEASE_SECONDS=str(LEASE))
    owner = Person(web, alice)
    conversation = owner.new_conversation()
    with owner.socket(conversation) as tab:
        tab.tell(type="send", content="Hello")
        message_id = tab.next()["message"]["id"]
        tab.until(lambda event: event["type"] == "delta")
        seen = tab.seen[message_id]
        web.kill()
    web.start()
    stopped = owner.stop(message_id)
    assert stopped.status_code == 200
    assert stopped.json()["status"] in ("interrupted", "stopped")
    assert stopped.json()["content"].startswith(seen.text)
    assert UsageRecord.objects.get().state == "settled"
