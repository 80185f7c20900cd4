"""Rules 1 and 3 over random histories: calls, late ends, crashes, prices, corrections, credit, closed months."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import User
from billing import (
    budgets,
    closing,
    corrections,
    enforcement,
    ledger,
    limiting,
    notices,
    prices,
    pricing,
    reports,
    rollup,
    thresholds,
    usage,
)
from billing.audit import Audit
from billing.models import Budget, BudgetPeriod, MonthClosing, Price, UsageRecord
from billing.selection import Selection
from billing.totals import GROUPINGS
from tests.calls import NOON, dollars, hold, make_price

# What can happen, how often, and with which numbers.
STEPS: dict[str, tuple[int, Callable[[Random], tuple[Any, ...]]]] = {
    "hold": (6, lambda r: (r.randrange(30), r.randrange(1500), r.randrange(1, 900))),
    "settle": (6, lambda r: (r.randrange(30), r.random(), r.random())),
    "settle and crash": (1, lambda r: (r.randrange(30), r.random(), r.random())),
    "release": (1, lambda r: (r.randrange(30),)),
    "time": (3, lambda r: (r.choice([1, 13, 24, 24 * 20]),)),
    "price": (1, lambda r: (r.randrange(5 * 10**9), r.randrange(5 * 10**9))),
    "limit": (1, lambda r: (r.randrange(30), r.choice(["day", "month"]), r.choice([None, r.randrange(8 * 10**6)]))),
    "change groups": (2, lambda r: (r.randrange(30),)),
    "reverse": (1, lambda r: (r.randrange(30),)),
    "correct": (3, lambda r: (r.randrange(30), r.randrange(2000), r.randrange(900))),
    "adjust": (1, lambda r: (r.randrange(30), r.randrange(-(10**7), 10**7))),
    "credit": (1, lambda r: (r.randrange(30), r.randrange(1, 10**7))),
    "write off": (1, lambda r: (r.randrange(30), r.randrange(1, 10**7))),
    "close": (2, lambda r: (r.random() < 0.8,)),
    "roll up": (2, lambda r: ()),
    "roll up and crash": (1, lambda r: ()),
    "rebuild": (1, lambda r: (r.randrange(40),)),
    "beat": (1, lambda r: ()),
}


def steps(seeds: list[int]) -> list[tuple[str, tuple[Any, ...]]]:
    """A history by numbers, as frequent as its steps should be; a shorter list is a shorter history."""
    history = []
    for position, seed in enumerate(seeds):
        random = Random(f"{position} {seed}")
        (kind,) = random.choices(list(STEPS), [weight for weight, _ in STEPS.values()])
        history.append((kind, STEPS[kind][1](random)))
    return history


class Crash(Exception):
    """The process dies, and its transaction with it."""


class World:
    """Three users, two groups with budgets, a model, and what happens to them."""

    def __init__(self) -> None:
        self.now = NOON
        make_price()
        self.users = [User.objects.create(email=f"user{index}@example.com") for index in range(3)]
        self.staff = User.objects.create(email="staff@example.com", is_staff=True)
        self.groups = [Group.objects.create(name=name) for name in ("Sales", "Research")]
        for group, period in zip(self.groups, ("day", "month"), strict=True):
            Budget.objects.create(scope="group", group=group, period=period, limit=dollars("0.006"))
        self.sealed: dict[Any, str] = {}
        for user in self.users:  # so that there is something to put right from the start
            self.hold(self.users.index(user), 900, 300)
        self.settle(0, 0.8, 0.5)

    def take(self, kind: str, arguments: tuple[Any, ...]) -> None:
        getattr(self, kind.replace(" ", "_"))(*arguments)

    def user(self, index: int) -> User:
        return self.users[index % len(self.users)]

    def one(self, index: int, **which: Any) -> UsageRecord | None:
        found = list(UsageRecord.objects.filter(**which).select_related("price", "user").order_by("pk"))
        return found[index % len(found)] if found else None

    def why(self) -> dict[str, Any]:
        return {"by": self.staff, "reason": "because", "now": self.now}

    # Calls

    def hold(self, index: int, taken: int, cap: int) -> None:
        price = prices.in_force(model="test-model", now=self.now)
        feature = "title" if index % 3 == 0 else "chat"
        try:
            hold(user=self.user(index), price=price, input_tokens=taken, output_cap=cap, feature=feature, now=self.now)
        except budgets.BudgetExhausted:
            return
        for standing in budgets.standings(user=self.user(index), now=self.now):
            assert standing.spent + standing.held <= standing.limit, standing

    def settle(self, index: int, taken: float, given_out: float, after: Callable[[], None] = lambda: None) -> None:
        record = self.one(index, state="held")
        if record is None:
            return
        tokens_in, tokens_out = int(record.input_bound * taken), int(record.output_cap * given_out)
        with transaction.atomic():
            ledger.settle(
                record=record,
                tokens=pricing.Tokens(
                    input=tokens_in, output=tokens_out, cached_input=tokens_in // 2, reasoning=tokens_out // 3
                ),
                outcome="complete", measured="provider", usage=None, provider_request_id="", now=self.now,
            )  # fmt: skip
            after()

    def settle_and_crash(self, index: int, taken: float, given_out: float) -> None:
        def crash() -> None:
            raise Crash

        before = UsageRecord.objects.filter(state="held").count()
        try:
            self.settle(index, taken, given_out, after=crash)
        except Crash:
            assert UsageRecord.objects.filter(state="held").count() == before

    def release(self, index: int) -> None:
        record = self.one(index, state="held")
        if record is not None:
            ledger.release(record=record, outcome="failed", provider_request_id="", now=self.now)

    # What is around them

    def time(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    def price(self, taken: int, given_out: int) -> None:
        price = Price(
            model="test-model", source="negotiated", effective_from=self.now, input_price=taken,
            cached_input_price=taken // 2, cache_write_price=taken, output_price=given_out, tokenizer="bytes",
            context_window=8192,
        )  # fmt: skip
        if not Price.objects.filter(effective_from=self.now).exists():
            prices.add(price=price, by=self.staff, now=self.now)

    def limit(self, index: int, period: str, amount: int | None) -> None:
        limiting.set_limit(user=self.user(index), period=period, limit=amount, by=self.staff, now=self.now)

    def change_groups(self, index: int) -> None:
        self.user(index).groups.set([self.groups[index % 2]] if index % 3 else [])

    # What people book

    def reverse(self, index: int) -> None:
        self.book(corrections.reverse, index)

    def correct(self, index: int, taken: int, given_out: int) -> None:
        tokens = pricing.Tokens(input=taken, output=given_out, cached_input=taken // 3)
        self.book(corrections.correct, index, tokens=tokens)

    def book(self, act: Callable[..., Any], index: int, **arguments: Any) -> None:
        record = self.one(index)
        if record is None:
            return
        before = UsageRecord.objects.count()
        try:
            act(record=record, **arguments, **self.why())
        except corrections.NotCorrectable:
            assert UsageRecord.objects.count() == before

    def adjust(self, index: int, amount: int) -> None:
        if amount:
            corrections.adjust(user=self.user(index), amount=amount, **self.why())

    def credit(self, index: int, amount: int) -> None:
        corrections.grant_credit(user=self.user(index), amount=amount, **self.why())

    def write_off(self, index: int, amount: int) -> None:
        corrections.write_off(user=self.user(index), amount=amount, **self.why())

    def close(self, wait: bool) -> None:
        """Close the month before, after the calls that it waits for have come to an end; the running one, in time."""
        if wait:
            self.now = budgets.period_end(period="month", day=self.now.date())
        month = (self.now.date().replace(day=1) - timedelta(days=1)).replace(day=1)
        for record in UsageRecord.objects.filter(state="held", spend_date__lt=self.now.date().replace(day=1)):
            with pytest.raises(closing.NotClosable):
                closing.close(month=record.spend_date, by=self.staff, now=self.now)
            ledger.release(record=record, outcome="interrupted", provider_request_id="", now=self.now)
        try:
            self.sealed[month] = str(closing.close(month=month, by=self.staff, now=self.now).sha256)
        except closing.NotClosable:
            return

    # What beat does

    def roll_up(self) -> None:
        rollup.roll_up()

    def roll_up_and_crash(self) -> None:
        try:
            with transaction.atomic():
                rollup._roll_up()  # not durable in here
                raise Crash
        except Crash:
            return

    def rebuild(self, back: int) -> None:
        day = (self.now - timedelta(days=back)).date()
        rollup.rebuild(first=day, last=day)

    def beat(self) -> None:
        enforcement.enforce_budgets(now=self.now)
        thresholds.watch(now=self.now)
        notices.send_due(clock=lambda: self.now)

    # What always holds

    def check(self) -> None:
        assert list(Audit().differences()) == []
        for month, sha256 in self.sealed.items():
            assert MonthClosing.objects.get(month=month).sha256 == closing.digest(month=month).sha256 == sha256

    def check_narrower(self, everything: Selection, found: reports.Report) -> None:
        """What a line leads to, by anything else, is what the line says."""
        other = "day" if found.group_by == "model" else "model"
        for line in found.lines:
            if line.value not in ("", None):
                alone = reports.report(selection=replace(everything, **{found.group_by: line.value}), group_by=other)
                assert alone.total == line.total, (found.group_by, line.value)
                assert sum(row.total.cost for row in alone.lines) == line.total.cost, (found.group_by, line.value)

    def check_months(self) -> None:
        """Of whole months there are sums by user at hand, which are those of their days."""
        for month in UsageRecord.objects.dates("spend_date", "month"):
            selection = Selection(first=NOON.date().replace(day=1), last=usage.last_of_month(month))
            by_user = {line.value: line.total for line in reports.report(selection=selection, group_by="user").lines}
            assert by_user == {
                user: reports.report(selection=replace(selection, user=user), group_by="day").total for user in by_user
            }
            halves = [replace(selection, last=NOON.date()), replace(selection, first=NOON.date() + timedelta(days=1))]
            days = sum(reports.cost(half) for half in halves)
            assert reports.cost(selection) == sum(total.cost for total in by_user.values()) == days

    def check_sums(self) -> None:
        """Every report of every grouping adds up to what the records do, rolled up or not; so do users' own pages."""
        settled = UsageRecord.objects.filter(state="settled").aggregate(cost=Sum("cost"), calls=Sum("calls"))
        total = (settled["cost"] or 0, settled["calls"] or 0)
        everything = Selection(first=NOON.date(), last=self.now.date())
        for _ in range(2):
            self.check_months()
            for group_by in GROUPINGS:
                found = reports.report(selection=everything, group_by=group_by)
                assert (found.total.cost, found.total.calls) == total, group_by
                lines, parts = [line.total for line in found.lines], [part.total for part in found.parts]
                for summed in (lines, parts):
                    assert (sum(row.cost for row in summed), sum(row.calls for row in summed)) == total, group_by
                if group_by != "day":
                    self.check_narrower(everything, found)
            rollup.roll_up()
        months = {self.now.date().replace(day=1), *UsageRecord.objects.dates("spend_date", "month")}
        own = [usage.month(user=user, day=month).total.cost for user in self.users for month in months]
        assert sum(own) == total[0]


@pytest.mark.timeout(300)  # each step is audited
class AnyHistory(TestCase):
    """Each history starts in an empty database."""

    @settings(max_examples=8, deadline=None)
    @given(history=st.lists(st.integers(0, 2**32), min_size=15, max_size=30).map(steps))
    def test_the_books_are_clean_after_every_step(self, history: list[tuple[str, tuple[Any, ...]]]) -> None:
        world = World()
        for kind, arguments in history:
            world.take(kind, arguments)
            world.check()
        world.check_sums()
        while (record := world.one(0, state="held")) is not None:
            ledger.release(record=record, outcome="interrupted", provider_request_id="", now=world.now)
        assert not any(BudgetPeriod.objects.values_list("held", flat=True))
        world.check()
        assert connection.in_atomic_block, "the database is rolled back for the next history"
