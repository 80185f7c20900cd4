"""The road as one process takes it: sends, what their followers are told, and what the provider billed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import orjson
from django.utils import timezone

from billing import money
from billing.audit import Audit
from billing.models import BudgetPeriod, DailySpend, Hold, UsageRecord
from conversations import replies
from conversations.events import Event
from conversations.following import follow
from conversations.models import Conversation, Delta, Message
from conversations.replies import Begun, Send
from tests.provider import Row, ScriptedProvider

T = TypeVar("T")
ADDRESS = "198.51.100.7"


def ask(conversation: Conversation, content: str = "Hello there", **fields: Any) -> Send:
    """A request of the conversation's own user."""
    given: dict[str, Any] = {
        "user": conversation.user,
        "address": ADDRESS,
        "conversation_id": conversation.pk,
        "content": content,
    }
    return Send(**given | fields)


async def sent(request: Send) -> Begun:
    """The reply, begun now."""
    return await replies.send(request, clock=timezone.now)


async def told(message: Message, start: int = 0) -> list[Event]:
    """All that a follower hears from an offset on, to the reply's end."""
    return [event async for event in follow(message, start=start) if event is not None]


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that must come soon."""
    async with asyncio.timeout(10):
        while not await true():  # noqa: ASYNC110  (it looks at what other processes write)
            await asyncio.sleep(0.005)


async def billed(provider: ScriptedProvider, true: Callable[[Any], bool]) -> None:
    """Wait until something is true of the provider's bill."""
    await asyncio.to_thread(provider.wait_until, true)


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Play a scenario on an event loop of its own, and let the replies that it began end their work."""

    async def play() -> T:
        try:
            async with asyncio.timeout(60):
                return await scenario
        finally:
            writing = [task for task in replies._running if task.get_loop() is asyncio.get_running_loop()]
            if writing:
                await asyncio.wait(writing, timeout=20)

    return asyncio.run(play())


def whole(request: Send) -> tuple[Message, list[Event]]:
    """A send from beginning to end: the message as it is stored, and what a follower was told."""

    async def scenario() -> tuple[Begun, list[Event]]:
        begun = await sent(request)
        return begun, [begun.started, *await told(begun.message)]

    begun, events = run(scenario())
    return stored(begun.message), events


def stored(message: Message) -> Message:
    """The message as the database has it, with its usage record."""
    return Message.objects.select_related("usage_record__price", "parent").get(pk=message.pk)


def data(event: Event) -> dict[str, Any]:
    """An event's JSON."""
    value: dict[str, Any] = orjson.loads(event.data)
    return value


def text(events: Iterable[Event], start: int = 0) -> str:
    """The text that the deltas put together; they must follow each other without a gap and without repeating."""
    found = ""
    for event in events:
        if event.kind == "delta":
            piece = data(event)
            assert piece["start"] == event.start == start + len(found), "a gap, or a repetition"
            found += piece["content"]
            assert piece["end"] == event.end == start + len(found)
    return found


def nano(row: Row) -> int:
    """What the provider bills for a request, in nano-dollars, rounded up."""
    return int(-(-row.cost * money.NANO_PER_DOLLAR // 1))


def differences() -> list[str]:
    """What the audit of the ledger finds."""
    return list(Audit().differences())


def everything() -> dict[str, list[dict[str, Any]]]:
    """All rows that a reply touches, to see that nothing has changed. Periods and budgets that stand at zero are
    no change: reading a budget makes them."""
    tables: list[Any] = [Conversation, Message, Delta, UsageRecord, Hold, DailySpend]
    found = {table.__name__: list(table.objects.order_by("pk").values()) for table in tables}
    for message in found["Message"]:
        del message["lease_expires_at"]  # of a reply that runs, it is renewed all the time
    found["periods"] = list(BudgetPeriod.objects.exclude(spent=0, held=0).order_by("pk").values())
    return found


def periods_of(record: UsageRecord) -> list[tuple[int, int]]:
    """(spent, held) of the budget periods that a record was held in."""
    return list(record.periods.order_by("pk").values_list("spent", "held"))
