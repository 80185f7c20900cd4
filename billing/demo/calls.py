"""The calls of one day: drawn from seeds that name the day and the person, so every run draws the same."""

import hashlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.conf import settings

from billing import pricing
from billing.demo.company import PEOPLE, Person
from billing.models import Price, UsageRecord

MODELS = FAST, SMART = ("gpt-4o-mini", "gpt-4o")
KEY = hashlib.sha256(b"the demo company's key").hexdigest()[:12]
MARK = "demo-"  # how the ids of demo calls begin
WEEKEND = 0.08  # of a weekday's calls
FIRST_HOUR, LAST_HOUR = 8, 19
OUTPUT_CAP = 1000
_SLACK = 12  # tokens that the count of the input was above the truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A call before anybody has looked whether a budget has room for it."""

    person: Person
    held_at: datetime
    feature: str
    model: str
    tokens: pricing.Tokens
    outcome: str
    seconds: float

    @property
    def released(self) -> bool:
        """Whether the provider refused it, so that it cost nothing."""
        return self.outcome == UsageRecord.Outcome.FAILED

    @property
    def output_cap(self) -> int:
        """What was asked for at most."""
        return 32 if self.feature == "title" else OUTPUT_CAP


def of_day(day: date) -> list[Drawn]:
    """Everybody's calls of a day, the earliest first."""
    drawn = [call for person in PEOPLE for call in _of_person(person, day)]
    return sorted(drawn, key=lambda call: (call.held_at, call.person.email, call.feature))


def record(*, call: Drawn, price: Price, number: int) -> UsageRecord:
    """The usage record of a drawn call, ended; who it is for, and its budgets, are the caller's."""
    bound = call.tokens.input + _SLACK
    ended: dict[str, object] = {"state": UsageRecord.State.RELEASED}
    if not call.released:
        estimated = call.outcome == UsageRecord.Outcome.STOPPED
        measured = UsageRecord.Measured.ESTIMATED if estimated else UsageRecord.Measured.PROVIDER
        ended = {
            "state": UsageRecord.State.SETTLED,
            "measured": measured,
            "cost": pricing.cost(tokens=call.tokens, rates=price),
            "input_tokens": call.tokens.input,
            "cached_input_tokens": call.tokens.cached_input,
            "output_tokens": call.tokens.output,
            "usage": None if estimated else _usage(call.tokens),
        }
    return UsageRecord(
        feature=call.feature,
        model=price.model,
        price=price,
        key_fingerprint=KEY,
        provider_request_id=f"{MARK}{call.held_at:%Y%m%d}-{number:04}",
        held_at=call.held_at,
        settled_at=call.held_at + timedelta(seconds=call.seconds),
        outcome=call.outcome,
        input_bound=bound,
        output_cap=call.output_cap,
        hold=pricing.worst_case(input_tokens=bound, output_tokens=call.output_cap, rates=price),
        **ended,
    )


def _of_person(person: Person, day: date) -> Iterable[Drawn]:
    draw = random.Random(f"{person.email} on {day}")  # noqa: S311  (nothing here is secret)
    expected = person.calls * (WEEKEND if day.weekday() > 4 else 1) * draw.uniform(0.55, 1.35)
    count = int(expected) + (draw.random() < expected % 1)
    length = 0
    for number in range(count):
        held_at = _instant(day, draw)
        length = 0 if draw.random() < 0.3 else length + 1  # a conversation goes on, and its context grows
        model = SMART if draw.random() * 100 < person.smart else FAST
        yield Drawn(
            person=person, held_at=held_at, feature="chat", model=model, tokens=_tokens(length, draw),
            outcome=_outcome(draw), seconds=draw.uniform(1.2, 14),
        )  # fmt: skip
        if length == 0 and number % 2 == 0:
            yield Drawn(
                person=person, held_at=held_at + timedelta(seconds=15), feature="title", model=FAST,
                tokens=pricing.Tokens(input=draw.randint(60, 190), output=draw.randint(4, 12)),
                outcome=UsageRecord.Outcome.COMPLETE, seconds=draw.uniform(0.4, 1.5),
            )  # fmt: skip


def _instant(day: date, draw: random.Random) -> datetime:
    hour = min(LAST_HOUR, max(FIRST_HOUR, draw.gauss(13, 2.6)))
    local = datetime.combine(day, time(int(hour)), tzinfo=settings.BILLING_TIME_ZONE)
    return local + timedelta(seconds=draw.randrange(3600), microseconds=draw.randrange(1_000_000))


def _tokens(length: int, draw: random.Random) -> pricing.Tokens:
    taken = int(min(4000, draw.lognormvariate(6.5, 0.6) + length * draw.uniform(250, 650)))
    cached = taken // 128 * 128 if taken >= 1024 and draw.random() < 0.55 else 0
    given = int(min(OUTPUT_CAP, draw.lognormvariate(6.05, 0.5)))
    return pricing.Tokens(input=max(taken, 20), cached_input=cached, output=max(given, 8))


def _outcome(draw: random.Random) -> str:
    outcomes: Mapping[str, int] = {
        UsageRecord.Outcome.COMPLETE: 950,
        UsageRecord.Outcome.STOPPED: 35,
        UsageRecord.Outcome.FAILED: 15,
    }
    return draw.choices(list(outcomes), list(outcomes.values()))[0]


def _usage(tokens: pricing.Tokens) -> dict[str, object]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached_input},
    }
