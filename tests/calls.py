"""Calls to the provider as the ledger sees them, for the tests of the money."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection, transaction

from accounts.models import Token, User
from billing import bounds, ledger, limiting, money, pricing
from billing.models import Budget, Price, UsageRecord

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def dollars(amount: str) -> int:
    """Nano-dollars, of dollars that are easy to read."""
    return money.to_nano(Decimal(amount))


def make_price(*, model: str = "test-model", **fields: object) -> Price:
    """One dollar per million input tokens, ten cents where cached, two dollars per million output tokens."""
    given = {
        "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
        "source": Price.Source.NEGOTIATED,
        "input_price": dollars("1"),
        "cached_input_price": dollars("0.10"),
        "cache_write_price": dollars("1"),
        "output_price": dollars("2"),
        "tokenizer": "bytes",
        "context_window": 8192,
    }
    return Price.objects.create(model=model, **given | fields)


def limit(*, user: User, day: str | None = None, month: str | None = None) -> None:
    """Give a user limits in dollars."""
    for period, amount in ((Budget.Period.DAY, day), (Budget.Period.MONTH, month)):
        if amount is not None:
            limiting.set_limit(user=user, period=period, limit=dollars(amount))


def hold(
    *, user: User, price: Price, input_tokens: int = 1000, output_cap: int = 500, feature: str = "chat",
    now: datetime = NOON, token: Token | None = None,
) -> UsageRecord:  # fmt: skip
    """A hold in a transaction of its own: $0.002 with the price above, unless told otherwise."""
    call = bounds.Call(
        user=user, feature=feature, price=price, input_tokens=input_tokens, output_cap=output_cap,
        api_token_id=token.pk if token else None,
    )  # fmt: skip
    with transaction.atomic():
        return ledger.hold(call=call, now=now)


def settle(record: UsageRecord, *, now: datetime = NOON, **tokens: int) -> UsageRecord:
    """Settle by the provider's count: 1000 tokens in and 500 out, unless told otherwise."""
    counted = pricing.Tokens(**{"input": 1000, "output": 500} | tokens)
    return ledger.settle(
        record=record, tokens=counted, outcome=UsageRecord.Outcome.COMPLETE, measured=UsageRecord.Measured.PROVIDER,
        usage=None, provider_request_id="req_1", now=now,
    )  # fmt: skip


def spend(*, user: User, price: Price, now: datetime = NOON, token: Token | None = None, **tokens: int) -> UsageRecord:
    """A whole call: $0.002, unless told otherwise."""
    return settle(hold(user=user, price=price, now=now, token=token), now=now, **tokens)


def at_once(act: Callable[[int], str], count: int) -> list[str]:
    """What `act` answers to each number, from as many threads at the same instant; an error in one is raised here."""
    ready = threading.Barrier(count)

    def one(number: int) -> str:
        ready.wait()
        try:
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
