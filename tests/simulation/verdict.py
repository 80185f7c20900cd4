"""The verdict on a run: what is stored, shown and billed, held against the provider's own record."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from django.core.management import call_command
from django.db import connections, transaction
from django.utils import timezone

from accounts.errors import AWAY
from accounts.models import Token, User
from billing import budgets, limiting, money
from billing.models import UsageRecord
from conversations.models import Conversation, Delta, Message
from tests.provider.remote import RemoteProvider
from tests.simulation.scenarios import Scenario
from tests.simulation.schedule import Answer, Schedule
from tests.simulation.tab import Shown, Tab

_NONCE = re.compile(r"<(\d+\.\d+)>")


@dataclass(slots=True)
class Cast:
    """Who plays: the owner of each conversation, and its tabs' token."""

    users: list[User]
    conversations: list[str] = field(default_factory=list)
    owners: list[User] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, plan: Schedule | Scenario) -> Cast:
        """A plan's people, with their conversations."""
        marks = f"{plan.seed}-{timezone.now():%f}"
        users = [User.objects.create_user(f"person-{number}-{marks}@example.com") for number in range(plan.people)]
        cast = cls(users)
        for user in users:
            limiting.set_limit(user=user, period="day", limit=plan.daily_limit)
        now = timezone.now()
        for number in range(plan.conversations):
            user = users[number % plan.people]
            conversation = Conversation.objects.create(user=user, created_at=now, updated_at=now)
            cast.conversations.append(str(conversation.pk))
            cast.owners.append(user)
            cast.tokens.append(Token.issue(user=user)[1])
        connections.close_all()
        return cast

    def sign_out(self, number: int) -> bool:
        """Revoke a conversation's token, and issue another; False, and nothing changed, where the database is away."""
        try:
            with transaction.atomic():
                old = Token.objects.filter(digest=Token.hash(self.tokens[number]))
                old.update(revoked_at=timezone.now())
                self.tokens[number] = Token.issue(user=self.owners[number])[1]
        except AWAY:
            return False
        finally:
            connections.close_all()
        return True


@dataclass(slots=True)
class Found:
    """What is wrong, and what there was."""

    problems: list[str] = field(default_factory=list)
    replies: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


def verdict(cast: Cast, answers: dict[str, Answer], tabs: list[Tab], provider: RemoteProvider) -> Found:
    """Everything that is not as it must be."""
    connections.close_all()
    found = Found()
    replies = list(
        Message.objects.filter(conversation__user__in=cast.users, role="assistant").select_related(
            "parent", "usage_record"
        )
    )
    found.replies, found.statuses = len(replies), dict(Counter(reply.status for reply in replies))
    by_id = {str(reply.pk): reply for reply in replies}
    for reply in replies:
        found.problems += _of_reply(reply, answers)
    for tab in tabs:
        found.problems += tab.problems
        for message_id, shown in tab.shown.items():
            found.problems += _of_tab(by_id.get(message_id), shown)
    found.problems += _of_calls(replies, provider)
    found.problems += _of_money(cast)
    provider.reset()
    connections.close_all()
    return found


def _nonce(reply: Message) -> str:
    assert reply.parent is not None
    match = _NONCE.search(reply.parent.content)
    assert match is not None
    return match[1]


def _of_reply(reply: Message, answers: dict[str, Answer]) -> list[str]:
    answer = answers[_nonce(reply)]
    problems = []
    if reply.status == "complete" and reply.finish_reason != "length" and reply.content != answer.text:
        problems.append(f"{reply.pk} is complete, but not the provider's text")
    if not answer.text.startswith(reply.content):
        problems.append(f"{reply.pk} is {reply.status} with a text that the provider did not send")
    if reply.status == "generating":
        problems.append(f"{reply.pk} never ended")
    if Delta.objects.filter(message=reply).exists():
        problems.append(f"{reply.pk} has left a log behind")
    return problems


def _of_tab(reply: Message | None, shown: Shown) -> list[str]:
    text, status = shown.text, shown.status
    if reply is None:
        return ["a tab shows a reply that is not stored"]
    if not reply.html.startswith(shown.html):
        return [f"{reply.pk}: a tab shows other HTML for the first {shown.rendered} characters than is stored"]
    if not reply.content.startswith(text):
        return [f"{reply.pk}: a tab shows {len(text)} characters, stored are {len(reply.content)} ({reply.status})"]
    if status and (text, status) != (reply.content, reply.status):
        return [
            f"{reply.pk}: a tab ended {status} with {len(text)}, stored is {reply.status} with {len(reply.content)}"
        ]
    return []


def _of_calls(replies: list[Message], provider: RemoteProvider) -> list[str]:
    """No reply made more than one call that is billed, and none was billed more than its hold."""
    bodies = Counter(
        match[-1]
        for request in provider.requests
        if (match := _NONCE.findall(request.content.decode("utf-8", "replace").replace("\\u003c", "<")))
    )
    problems = [f"<{nonce}> was asked {count} times" for nonce, count in bodies.items() if count > 1]
    for reply in replies:
        record = reply.usage_record
        assert record is not None
        if record.state == "held":
            problems.append(f"record {record.pk} of {reply.pk} is still held")
        if record.over_hold:
            problems.append(f"record {record.pk} cost more than its hold")
    return problems


def _of_money(cast: Cast) -> list[str]:
    problems = []
    now = timezone.now()
    today = budgets.spend_date(now)  # a run may have begun yesterday
    for user in cast.users:
        records = UsageRecord.objects.filter(user=user, state="settled")
        for standing in [standing for standing in budgets.standings(user=user, now=now) if standing.scope == "user"]:
            since = today if standing.period == "day" else today.replace(day=1)
            spent = sum(records.filter(spend_date__gte=since).values_list("cost", flat=True))
            if standing.spent + standing.held > standing.limit:
                problems.append(f"{user}: spent {standing.spent} + held {standing.held} of {standing.limit}")
            if standing.held:
                problems.append(f"{user}: {standing.held} still held")
            if standing.spent != spent:
                problems.append(f"{user}: the {standing.period} says {standing.spent}, the records {spent}")
    out = io.StringIO()
    try:
        call_command("audit_ledger", stdout=out, stderr=out)
    except SystemExit:
        problems.append(f"audit_ledger: {out.getvalue()}")
    return problems


def billed(provider: RemoteProvider) -> int:
    """The provider's whole bill, in nano-dollars."""
    return money.to_nano(Decimal(provider.bill.total))
