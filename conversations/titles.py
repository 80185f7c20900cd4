"""A conversation's name: the question's first words at once, a model's few words after the first whole answer.

The model is asked by the process that wrote the answer, as soon as it is settled: the client is there, and
whoever reads the answer sees the name come. Should that process die, the call's record stays held, and
beat settles it as a call that was made.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.errors import Refusal
from accounts.statements import update
from billing import bounds, budgets, enforcement, ledger, prices
from billing.pricing import Tokens
from conversations import feed, keys, provider, settling
from conversations.models import Conversation, Message, Tier
from conversations.pool import in_database, insist
from conversations.settling import Ending
from conversations.tokens import tokenizer

logger = logging.getLogger(__name__)

FEATURE = "title"
FIRST_WORDS = 60  # characters of the question
LONGEST = 80  # characters of a name that a model gives
MOST_WORDS = 8  # who was asked for six and says more than this has not understood what a name is
EXCERPT = 600  # characters of question and answer each that the model is shown
OUTPUT_CAP = 24  # tokens: six words, in any language
LONGEST_CALL = 30.0  # seconds; a name that takes longer is not worth waiting for
ABANDONED = timedelta(minutes=2)  # after which nobody can still be waiting
PROMPT = (
    "Name this conversation in at most six words, in the language of the question. "
    "Answer with the name alone: no quotation marks, no full stop."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A held, committed call for a name."""

    conversation_id: UUID
    user_id: int
    record: ledger.UsageRecord
    request: provider.Request


def first_words(content: str, length: int = FIRST_WORDS) -> str:
    """The beginning of a text on one line, cut between words where it is longer than `length` characters."""
    line = " ".join(content[: length * 20].split())
    if len(line) <= length:
        return line
    cut = line[:length].rpartition(" ")[0]
    # A language without spaces, or one long word: then anywhere will do.
    return f"{(cut if len(cut) > length // 2 else line[: length - 1]).rstrip(' ,;:.-–—')}…"


def begin(message: Message, *, clock: Callable[[], datetime]) -> None:
    """Have a conversation named, in a task of its own, where this was its first whole answer."""
    wanted = settings.CHAT_TITLES and _nameless(message.conversation)
    if wanted and message.status == Message.Status.COMPLETE:
        _running.add(task := asyncio.create_task(_name(message.pk, clock)))
        task.add_done_callback(_running.discard)


def busy() -> bool:
    """Whether this process has conversations named."""
    return bool(_running)


def recover(*, now: datetime) -> int:
    """Settle the calls whose process died, as made and used up to their cap; how many.

    One that cannot be settled keeps no other from it.
    """
    held = ledger.UsageRecord.objects.filter(feature=FEATURE, state=ledger.UsageRecord.State.HELD)
    count = 0
    for record in held.filter(held_at__lt=now - ABANDONED).select_related("price")[:1000]:
        tokens = Tokens(input=record.input_bound, output=record.output_cap)
        try:
            ledger.settle(
                record=record, tokens=tokens, outcome=Message.Status.INTERRUPTED, measured="estimated",
                usage=None, provider_request_id="", now=now,
            )  # fmt: skip
            count += 1
        except ledger.AlreadyEnded:
            pass
        except IntegrityError:
            logger.exception("a call for a name could not be settled: usage record %s", record.pk)
    return count


_running: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references


async def _name(message_id: UUID, clock: Callable[[], datetime]) -> None:
    try:
        order = await in_database(_order, message_id, clock())
        if order is None:
            return
        ending = await _ask(order.request)
        conversation = await insist(in_database, _end, order, ending, now=clock())
        if conversation is not None:
            await feed.tell_conversation(conversation, "changed")
        await feed.tell_budget(order.user_id, await in_database(_standing, order, clock()))
    except (Refusal, ledger.MonthIsClosed):
        pass  # no room in the budget, no price, a month that was closed just now: the first words are a name too
    except Exception:
        logger.exception("a conversation could not be named, after the answer %s", message_id)


async def _ask(request: provider.Request) -> Ending:
    text, stream, departure = "", None, provider.Departure()
    try:
        async with asyncio.timeout(LONGEST_CALL), provider.stream(request, departure) as stream:
            async for piece in stream:
                text += piece
    except TimeoutError:
        return Ending(status="failed", text=text, billed=departure.left)
    except provider.ProviderError as error:
        usage, billed = stream.usage if stream else None, error.billed and departure.left
        return Ending(status="failed", text=text, usage=usage, request_id=error.request_id, billed=billed)
    return Ending(
        status="complete",
        text=text,
        finish_reason=stream.finish_reason,
        usage=stream.usage,
        request_id=stream.request_id,
    )


def _order(message_id: UUID, now: datetime) -> Order | None:
    """Hold the call, once in a conversation's life; None where it needs none."""
    message = Message.objects.select_related("parent", "conversation__user", "usage_record").get(pk=message_id)
    conversation, question = message.conversation, message.parent
    if question is None or not _wanted(conversation, message):
        return None
    user = conversation.user
    price = prices.in_force(model=settings.CHAT_MODELS[Tier.FAST], now=now)
    # A model that thinks before it answers would spend the cap on thinking.
    if not price.takes_temperature or enforcement.account_state(user=user, now=now).disabled:
        return None
    words = tokenizer(price.tokenizer)
    said = f"Question: {question.content[:EXCERPT]}\n\nAnswer: {message.content[:EXCERPT]}"
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": said}]
    bound = words.per_request + sum(words.count(part["content"]) + words.per_message for part in messages)
    with transaction.atomic(durable=True):
        own = Conversation.objects.select_for_update().filter(pk=conversation.pk)
        if not own.filter(title_source="", title_record=None, deleted_at=None).exists():
            return None
        record = ledger.hold(
            call=bounds.Call(
                user=user,
                feature=FEATURE,
                price=price,
                input_tokens=bound,
                output_cap=OUTPUT_CAP,
                key_fingerprint=keys.fingerprint(),
                api_token_id=message.usage_record.api_token_id if message.usage_record else None,
            ),
            now=now,
            write=lambda record: [
                update(Conversation, {"title_record": record.pk}, where="id = %s", params=[conversation.pk])
            ],
        )
    request = provider.Request(
        model=settings.CHAT_MODELS[Tier.FAST], messages=messages, output_cap=record.output_cap, takes_temperature=True
    )
    return Order(conversation_id=conversation.pk, user_id=user.pk, record=record, request=request)


def _nameless(conversation: Conversation) -> bool:
    """Whether neither a person nor a model has named it, nor been asked to."""
    return not (conversation.temporary or conversation.title_source or conversation.title_record_id)


def _wanted(conversation: Conversation, message: Message) -> bool:
    if not _nameless(conversation):
        return False
    answers = conversation.messages.filter(role=Message.Role.ASSISTANT, status=Message.Status.COMPLETE)
    return not answers.exclude(pk=message.pk).exists()


def _end(order: Order, ending: Ending, *, now: datetime) -> Conversation | None:
    """Settle the call and give the name, unless a person gave one meanwhile; the conversation, where it has it."""
    title = _cleaned(ending.text) if ending.finish_reason == "stop" else ""
    with transaction.atomic(durable=True):
        own = Conversation.objects.filter(pk=order.conversation_id, title_source="", deleted_at=None)
        named = bool(title) and bool(own.update(title=title, title_source=Conversation.TitleSource.MODEL))
        settling.settle(order.record, ending, now)
    return Conversation.objects.get(pk=order.conversation_id) if named else None


def _cleaned(text: str) -> str:
    """The name in what a model said: its first line, without the marks that it was asked to leave out.

    Empty where it is none.
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"^\W*(title|name)\s*:\s*", "", line.strip(), flags=re.IGNORECASE)
    line = line.strip(" \t\"'“”„«»‹›*_`#.。")
    return first_words(line, LONGEST) if len(line.split()) <= MOST_WORDS else ""


def _standing(order: Order, now: datetime) -> budgets.Standing:
    return budgets.tightest(budgets.standings(user=order.record.user, now=now))
