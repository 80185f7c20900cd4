"""Rule 4: a cost is reproducible, whatever happens to prices afterwards."""

import random
from datetime import timedelta

import pytest

from accounts.models import User
from billing import prices, pricing
from billing.audit import Audit
from billing.models import Price, UsageRecord
from tests.calls import NOON, make_price

RECORDS, EDITS = 1_000_000, 100
STORED = 5_000


def random_price(numbers: random.Random) -> dict[str, int]:
    names = ("input_price", "cached_input_price", "cache_write_price", "output_price")
    return {name: numbers.randrange(0, 100_000_000_000) for name in names}


def random_tokens(numbers: random.Random) -> pricing.Tokens:
    taken, given = numbers.randrange(0, 130_000), numbers.randrange(0, 17_000)
    cached = numbers.randrange(0, taken + 1)
    return pricing.Tokens(
        input=taken, output=given, cached_input=cached, cache_write=numbers.randrange(0, taken - cached + 1)
    )  # fmt: skip


@pytest.mark.once("embedded")
def test_a_million_calls_cost_the_same_after_a_hundred_new_prices() -> None:
    """Pure pricing, without a database: each call keeps the number of its price, of 101 in all."""
    numbers = random.Random(4)
    listed = [Price(**random_price(numbers)) for _ in range(EDITS + 1)]
    first = {}
    for number in range(RECORDS):
        price = number * (EDITS + 1) // RECORDS  # the price of its day: one edit after every 10,000 calls
        first[number] = pricing.cost(tokens=random_tokens(numbers), rates=listed[price])
    again = random.Random(4)
    assert [random_price(again) for _ in listed] == [
        {name: getattr(price, name) for name in random_price(random.Random(0))} for price in listed
    ]
    for number in range(RECORDS):
        price = number * (EDITS + 1) // RECORDS
        assert first[number] == pricing.cost(tokens=random_tokens(again), rates=listed[price])


@pytest.mark.django_db
def test_stored_records_are_priced_again_by_the_audit_after_a_hundred_new_prices(alice: User) -> None:
    """The same over rows, fewer of them: a hundred edits among them, and every one is found as it was."""
    numbers = random.Random(5)
    make_price(**random_price(numbers))
    for edit in range(EDITS):
        now = NOON + timedelta(minutes=edit)
        price = prices.in_force(model="test-model", now=now)
        rows = []
        for _ in range(STORED // EDITS):
            tokens = random_tokens(numbers)
            cost = pricing.cost(tokens=tokens, rates=price)
            rows.append(
                UsageRecord(
                    user=alice, user_name="Alice", model="test-model", price=price, spend_date=now.date(), held_at=now,
                    settled_at=now, state="settled", outcome="complete", measured="provider", input_bound=tokens.input,
                    output_cap=tokens.output, hold=cost, cost=cost, input_tokens=tokens.input,
                    output_tokens=tokens.output, cached_input_tokens=tokens.cached_input,
                    cache_write_tokens=tokens.cache_write,
                )
            )  # fmt: skip
        UsageRecord.objects.bulk_create(rows)
        prices.add(
            price=Price(
                model="test-model", effective_from=now + timedelta(minutes=1), source="negotiated", tokenizer="bytes",
                context_window=1, **random_price(numbers),
            ),
            by=alice,
            now=now,
        )  # fmt: skip
    assert (UsageRecord.objects.count(), Price.objects.count()) == (STORED, EDITS + 1)
    priced_again = [text for text in Audit().differences() if "but its tokens at price" in text]
    assert priced_again == []
    one = UsageRecord.objects.order_by("pk")[STORED // 2]
    UsageRecord.objects.filter(pk=one.pk).update(cost=one.cost + 1)
    priced_again = [text for text in Audit().differences() if "but its tokens at price" in text]
    assert [text.split()[2] for text in priced_again] == [str(one.pk)], "a nano-dollar is found"
