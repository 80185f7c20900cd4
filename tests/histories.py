"""Months of varied usage, as a company would have it: every kind of record, odd prices, odd names, closed months."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from accounts.models import User
from billing import bounds, closing, corrections, ledger, limiting, pricing, rollup
from billing.models import Price, UsageRecord
from tests.calls import dollars, make_price

NAMES = ('Ann "the pen", Lee', "=1+1", "two\nlines", "Zoë 😀 李", "@SUM(A1)", " spaced ")
OCTOBER = datetime(2026, 10, 1, 9, tzinfo=UTC)


def people(count: int = 6) -> list[User]:
    """Users with awkward names, most of them in a group."""
    groups = [Group.objects.create(name=name) for name in ("Research", "+Sales", "Müller, Öl & Söhne")]
    made = []
    for number in range(count):
        user = User.objects.create_user(f"person-{number}@example.com", name=NAMES[number % len(NAMES)])
        if number % 4:
            user.groups.add(groups[number % len(groups)])
        for period in ("day", "month"):
            limiting.set_limit(user=user, period=period, limit=dollars("1000000"))
        made.append(user)
    return made


def price_list() -> list[Price]:
    """A list price and a negotiated one beside it, one with odd digits, one with classes of its own, one of nothing."""
    listed = make_price(model="gpt-4o", source=Price.Source.CATALOGUE, input_price=dollars("2.5"))
    negotiated = make_price(
        model="gpt-4o", effective_from=datetime(2026, 10, 10, tzinfo=UTC), input_price=dollars("2.25"),
        output_price=dollars("1.9"),
    )  # fmt: skip
    odd = make_price(
        model="odd", source=Price.Source.CATALOGUE, input_price=123_456_789, cached_input_price=1, cache_write_price=7,
        output_price=3_987_654_321,
    )  # fmt: skip
    audio = make_price(model="audio", extra_rates={"input.audio": dollars("40"), "output.audio": dollars("80.5")})
    free = make_price(model="free", input_price=0, cached_input_price=0, cache_write_price=0, output_price=0)
    return [listed, negotiated, odd, audio, free]


def tokens(chance: random.Random, price: Price) -> pricing.Tokens:
    """Some tokens of every class that there is."""
    given, output = chance.choice([0, 1, 812, chance.randrange(5000)]), chance.choice([0, 1, chance.randrange(900)])
    cached = chance.randrange(given + 1) if chance.random() < 0.5 else 0
    written = chance.randrange(given - cached + 1) if chance.random() < 0.3 else 0
    extra: dict[str, int] = {}
    if price.extra_rates:
        extra = {
            "input.audio": chance.randrange(given - cached - written + 1),
            "output.audio": chance.randrange(output + 1),
        }
    return pricing.Tokens(
        input=given, output=output, cached_input=cached, cache_write=written, reasoning=chance.randrange(output + 1),
        extra=extra,
    )  # fmt: skip


def call(user: User, price: Price, at: datetime, chance: random.Random, **settling: Any) -> UsageRecord:
    """A settled call."""
    with transaction.atomic():
        held = ledger.hold(
            call=bounds.Call(
                user=user, feature=chance.choice(["chat", "title"]), price=price, input_tokens=6000, output_cap=1000,
                key_fingerprint=chance.choice(["", "0123456789ab"]),
            ),
            now=at,
        )  # fmt: skip
    return ledger.settle(
        record=held, tokens=tokens(chance, price), usage=None,
        outcome=chance.choice(["complete", "stopped", "failed"]),
        measured=chance.choice(["provider", "provider", "estimated"]),
        provider_request_id=chance.choice(["", "req_1", "=req"]), now=at + timedelta(seconds=3), **settling,
    )  # fmt: skip


def correct(found: Sequence[UsageRecord], users: Sequence[User], by: User, at: datetime, chance: random.Random) -> None:
    """Take some back, replace some, some of these again; credit, write-off and adjustments."""
    chosen = chance.sample(list(found), min(6, len(found)))
    for place, record in enumerate(chosen):
        if place % 2:
            corrections.reverse(record=record, by=by, reason="never charged", now=at)
        else:
            replaced = corrections.correct(
                record=record, tokens=tokens(chance, record.held_price), by=by, reason="=the invoice", now=at
            )[1]
            if place == 0:
                corrections.correct(
                    record=replaced, tokens=tokens(chance, record.held_price), by=by, reason="again", now=at
                )
    credit = corrections.grant_credit(user=users[0], amount=dollars("0.123456789"), by=by, reason="sorry", now=at)
    corrections.write_off(user=users[1], amount=dollars("0.05"), by=by, reason="test", now=at)
    corrections.adjust(user=users[2], by=by, reason="a cent more on the invoice", now=at, amount=dollars("0.01"))
    corrections.adjust(
        user=corrections.nobody(), by=by, reason="unknown", now=at, calls=3, price=found[0].held_price,
        tokens=pricing.Tokens(input=100, output=10),
    )  # fmt: skip
    corrections.reverse(record=credit, by=by, reason="a mistake", now=at)


def autumn(by: User, *, seed: int = 1, calls: int = 60) -> None:
    """October and November: October is corrected, closed and corrected again; a part is rolled up."""
    chance = random.Random(seed)
    users, prices = people(), price_list()
    october = [
        call(chance.choice(users), chance.choice(prices), OCTOBER + timedelta(hours=chance.randrange(24 * 30)), chance)
        for _ in range(calls)
    ]
    correct(october[: calls // 2], users, by, OCTOBER + timedelta(days=30), chance)
    rollup.roll_up()
    closing.close(month=OCTOBER.date(), by=by, now=OCTOBER + timedelta(days=33))
    november = [
        call(chance.choice(users), chance.choice(prices), OCTOBER + timedelta(days=33 + chance.randrange(20)), chance)
        for _ in range(calls // 2)
    ]
    correct(october[calls // 2 :], users, by, OCTOBER + timedelta(days=34), chance)
    correct(november, users, by, OCTOBER + timedelta(days=55), chance)
    call(users[0], prices[0], OCTOBER + timedelta(days=56), chance)
