"""The proof of rule 3: periods, records, prices and daily spend agree to the nano-dollar.

The database adds up; only differences, and one chunk of records at a time, come to this process.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from billing import money, pricing
from billing.models import BudgetPeriod, DailySpend, Hold, Price, UsageRecord
from billing.snapshot import snapshot

CHUNK = 2000  # rows fetched at once


@dataclass(kw_only=True)
class Audit:
    """What was looked at. `counts` is complete once `differences` is exhausted."""

    counts: dict[str, int] = field(default_factory=dict)

    def differences(self) -> Iterator[str]:
        """Every difference, as a sentence, from one snapshot of the database."""
        with snapshot():
            self._count()
            yield from _periods()
            yield from _records_without_hold()
            yield from self._records()
            yield from _daily_spend()

    def _count(self) -> None:
        self.counts["budget periods"] = BudgetPeriod.objects.count()
        self.counts["days, users and models in daily spend"] = DailySpend.objects.count()
        by_state = UsageRecord.objects.order_by().values_list("state").annotate(Count("pk"))
        self.counts.update({f"{state} usage records": count for state, count in by_state})
        pending = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED, rolled_up=False)
        self.counts["records waiting for the roll-up"] = pending.count()

    def _records(self) -> Iterator[str]:
        """Price every settled record again, at the price that it names."""
        prices = Price.objects.in_bulk()
        settled = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED).order_by()
        rows = settled.values_list(
            "pk", "price_id", "cost", "hold", "over_hold",
            "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens",
        ).iterator(chunk_size=CHUNK)  # fmt: skip
        for pk, price_id, cost, hold, over_hold, taken, given, cached, written in rows:
            tokens = pricing.Tokens(input=taken, output=given, cached_input=cached, cache_write=written)
            again = pricing.cost(tokens=tokens, rates=prices[price_id])
            if again != cost:
                yield f"Usage record {pk} cost {_usd(cost)}, but its tokens at price {price_id} cost {_usd(again)}."
            if over_hold != (cost > hold):
                yield f"Usage record {pk} cost {_usd(cost)} of a hold of {_usd(hold)}, and its flag says otherwise."


def _periods() -> Iterator[str]:
    """`spent` is the sum of settled costs, `held` that of open holds."""
    states = UsageRecord.State
    added_up = BudgetPeriod.objects.annotate(
        settled=Coalesce(Sum("records__cost", filter=Q(records__state=states.SETTLED)), 0),
        open=Coalesce(Sum("records__hold", filter=Q(records__state=states.HELD)), 0),
    )
    wrong = added_up.exclude(spent=F("settled"), held=F("open")).select_related("budget__user", "budget__group")
    for period in wrong.order_by("pk").iterator(chunk_size=CHUNK):
        if period.spent != period.settled:
            yield (
                f"Budget period {period.pk} ({period}) says that {_usd(period.spent)} is spent, "
                f"its settled records say {_usd(period.settled)}."
            )
        if period.held != period.open:
            yield (
                f"Budget period {period.pk} ({period}) says that {_usd(period.held)} is held, "
                f"its open records say {_usd(period.open)}."
            )


def _records_without_hold() -> Iterator[str]:
    loose = UsageRecord.objects.filter(~Exists(Hold.objects.filter(record=OuterRef("pk"))))
    for pk in loose.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"Usage record {pk} has no hold in any budget."


def _daily_spend() -> Iterator[str]:
    """Daily spend is what the records that are marked as counted add up to, day by day and key by key."""
    key, names = DailySpend.KEY, ("calls", *DailySpend.SUMS)
    counted = UsageRecord.objects.filter(state=UsageRecord.State.SETTLED, rolled_up=True)
    records = counted.values(*key).annotate(n=Count("pk"), **{f"sum_{name}": Sum(name) for name in DailySpend.SUMS})
    days = DailySpend.objects.values(*key).annotate(
        n=F("calls"), **{f"sum_{name}": F(name) for name in DailySpend.SUMS}
    )
    with connection.chunked_cursor() as cursor:
        cursor.execute(*_full_join(records.order_by(), days.order_by(), width=len(names)))
        while rows := cursor.fetchmany(CHUNK):
            for row in rows:
                yield from _unequal(row[: len(key)], names, row[len(key) :])
    unsettled = UsageRecord.objects.filter(rolled_up=True).exclude(state=UsageRecord.State.SETTLED)
    for pk in unsettled.values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"Usage record {pk} is counted in daily spend, but it is not settled."


def _full_join(
    records: QuerySet[UsageRecord, dict[str, object]], days: QuerySet[DailySpend, dict[str, object]], *, width: int
) -> tuple[str, list[Any]]:
    """Both sides' sums beside each other, where they differ; a side that lacks a key counts as zero."""
    key = [connection.ops.quote_name(name) for name in DailySpend.KEY]
    columns = [*key, *(f"v{number}" for number in range(width))]
    sides: list[str] = []
    parameters: list[Any] = []
    for queryset in (records, days):
        sql, values = queryset.query.sql_with_params()
        sides.append(sql)
        parameters += values
    first = ", ".join(f"SUM(CASE WHEN side = 0 THEN v{number} ELSE 0 END) AS r{number}" for number in range(width))
    second = ", ".join(f"SUM(CASE WHEN side = 1 THEN v{number} ELSE 0 END) AS d{number}" for number in range(width))
    unequal = " OR ".join(f"SUM(CASE WHEN side = 0 THEN v{number} ELSE -v{number} END) <> 0" for number in range(width))
    named = ", ".join(columns)
    sql = (  # every name in it is a column of ours; values go as parameters
        f"WITH records ({named}) AS ({sides[0]}), days ({named}) AS ({sides[1]}), "  # noqa: S608
        f"both_sides AS (SELECT 0 AS side, records.* FROM records UNION ALL SELECT 1 AS side, days.* FROM days) "
        f"SELECT {', '.join(key)}, {first}, {second} FROM both_sides "
        f"GROUP BY {', '.join(key)} HAVING {unequal} ORDER BY {', '.join(key)}"
    )
    return sql, parameters


def _unequal(key: tuple[object, ...], names: tuple[str, ...], sums: tuple[int, ...]) -> Iterator[str]:
    day, user, model, feature, fingerprint = key
    for name, record, daily in zip(names, sums[: len(names)], sums[len(names) :], strict=True):
        if record != daily:
            shown = _usd if name == "cost" else str
            yield (
                f"Daily spend of {day}, user {user}, {model}, {feature}, key {fingerprint or 'unnamed'} "
                f"has {name} {shown(int(daily))}, its records add up to {shown(int(record))}."
            )


def _usd(nano: int) -> str:
    return f"${money.to_json(nano)}"
