"""The provider's own bill: a row a request, priced by its own list."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.provider.reply import Reply

# Dollars per million tokens: input, cached input, output.
PRICES = {
    "gpt-4o-mini": (Decimal("0.15"), Decimal("0.075"), Decimal("0.60")),
    "gpt-4o": (Decimal("2.50"), Decimal("1.25"), Decimal("10.00")),
}
_MILLION = Decimal(1_000_000)
_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def cost(*, model: str, input_tokens: int, cached_input_tokens: int, output_tokens: int) -> Decimal:
    """What a request costs, in dollars, exact; an unknown model is priced as gpt-4o-mini."""
    price, cached_price, output_price = PRICES.get(_DATE.sub("", model), PRICES["gpt-4o-mini"])
    plain = input_tokens - cached_input_tokens
    return (plain * price + cached_input_tokens * cached_price + output_tokens * output_price) / _MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One HTTP request as billed at this instant. Costs in dollars, instants in seconds of `time.monotonic()`.

    `outcome` is "running", "complete", "cut" (the script ended it early), "client_closed" or
    "refused" (costs nothing). `waiting`: the script stalls or holds it just now. `status` is 0 where
    nothing was answered. `output_tokens` include
    `reasoning_tokens`, `input_tokens` include `cached_input_tokens`. `text` is what was generated
    and, in a stream, sent; `sha256` is over its UTF-8.
    """

    request_id: str
    model: str
    stream: bool
    attempt: int
    status: int
    outcome: str
    waiting: bool
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: Decimal
    deltas: int
    text: str
    sha256: str
    received_at: float
    headers_sent_at: float | None
    first_delta_at: float | None
    client_closed_at: float | None
    ended_at: float | None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Row:
        """A row as the control endpoint writes it."""
        return cls(**{**value, "cost": Decimal(value["cost"])})

    def to_json(self) -> dict[str, Any]:
        """The row as the control endpoint writes it: the cost is a decimal string."""
        return {**dataclasses.asdict(self), "cost": str(self.cost)}


@dataclass(slots=True)
class Call:
    """The live side of a row, written by the server while it answers."""

    request_id: str
    received_at: float
    model: str = ""
    stream: bool = False
    attempt: int = 0
    status: int = 0
    outcome: str = "running"
    waiting: bool = False
    input_tokens: int = 0
    cached_input_tokens: int = 0
    reply: Reply | None = None
    generated: int = 0
    headers_sent_at: float | None = None
    first_delta_at: float | None = None
    client_closed_at: float | None = None
    ended_at: float | None = None

    def end(self, outcome: str) -> None:
        """Close the row, once."""
        if self.ended_at is None:
            self.outcome = outcome
            self.ended_at = time.monotonic()

    def row(self) -> Row:
        """The row as it stands."""
        generated = self.generated
        text = _paired("".join(self.reply.deltas[:generated])) if self.reply else ""
        output = self.reply.spent[generated] if self.reply else 0
        return Row(
            request_id=self.request_id,
            model=self.model,
            stream=self.stream,
            attempt=self.attempt,
            status=self.status,
            outcome=self.outcome,
            waiting=self.waiting,
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            output_tokens=output,
            reasoning_tokens=self.reply.reasoning if self.reply else 0,
            cost=cost(
                model=self.model,
                input_tokens=self.input_tokens,
                cached_input_tokens=self.cached_input_tokens,
                output_tokens=output,
            ),
            deltas=generated,
            text=text,
            sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            received_at=self.received_at,
            headers_sent_at=self.headers_sent_at,
            first_delta_at=self.first_delta_at,
            client_closed_at=self.client_closed_at,
            ended_at=self.ended_at,
        )


def _paired(text: str) -> str:
    """Surrogates that came in two deltas, put together to the character that they are."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Bill:
    """All rows so far, in the order in which the requests came."""

    rows: list[Row] = field(default_factory=list)

    @property
    def total(self) -> Decimal:
        """Dollars, exact."""
        return sum((row.cost for row in self.rows), Decimal(0))

    @property
    def running(self) -> int:
        """Requests that are being answered."""
        return sum(row.outcome == "running" for row in self.rows)

    @property
    def waiting(self) -> int:
        """Requests that are held or stalled by their script just now."""
        return sum(row.waiting for row in self.rows)

    @property
    def charged(self) -> list[Row]:
        """The rows that cost something."""
        return [row for row in self.rows if row.cost]

    def row(self, request_id: str) -> Row:
        """The row of one request, by its x-request-id; KeyError where there is none."""
        for row in self.rows:
            if row.request_id == request_id:
                return row
        raise KeyError(request_id)

    def generated_text(self, request_id: str) -> str:
        """The text that one request was sent so far."""
        return self.row(request_id).text
