"""Budget periods: `spent` is the sum of settled costs, `held` that of open holds."""

from collections.abc import Iterator

from django.db.models import Count, Exists, F, OuterRef, Q, Sum, Value
from django.db.models.functions import Coalesce

from billing.audit.form import unequal, usd, wrong
from billing.models import BudgetPeriod, Hold, UsageRecord


def differences() -> Iterator[str]:
    """Periods whose sums are not those of their records, and calls that no budget knows of."""
    states = UsageRecord.State
    booked = Q(holds__isnull=False)
    # From the records' side, so that one pass finds those without a hold too: they are in no period.
    records = UsageRecord.objects.values(period_id=F("holds__period_id")).annotate(
        settled=_sum("cost", booked & Q(state=states.SETTLED)),
        open=_sum("hold", booked & Q(state=states.HELD)),
        loose=Count("pk", filter=Q(holds__isnull=True, kind=UsageRecord.Kind.CALL)),
    )
    periods = BudgetPeriod.objects.values(period_id=F("pk")).annotate(
        settled=F("spent"), open=F("held"), loose=Value(0)
    )
    for pk, settled, held, loose, says_spent, says_held, _ in unequal(records, periods, key=["period_id"], width=3):
        if loose:
            yield from _without_a_hold()
            continue
        period = BudgetPeriod.objects.select_related("budget__user", "budget__group").get(pk=pk)
        if settled != says_spent:
            yield (
                f"Budget period {pk} ({period}) says that {usd(int(says_spent))} is spent, "
                f"its settled records say {usd(int(settled))}."
            )
        if held != says_held:
            yield (
                f"Budget period {pk} ({period}) says that {usd(int(says_held))} is held, "
                f"its open records say {usd(int(held))}."
            )


def _sum(name: str, which: Q) -> Coalesce:
    return Coalesce(Sum(name, filter=which), 0)


def _without_a_hold() -> Iterator[str]:
    calls = UsageRecord.objects.filter(kind=UsageRecord.Kind.CALL)
    for pk in wrong(calls.filter(~Exists(Hold.objects.filter(record=OuterRef("pk"))))):
        yield f"Usage record {pk} has no hold in any budget."
