"""Budget periods: `spent` is the sum of settled costs, `held` that of open holds."""

from collections.abc import Iterator

from django.db.models import Exists, F, OuterRef, Q, Sum
from django.db.models.functions import Coalesce

from billing.audit.form import CHUNK, unequal, usd
from billing.models import BudgetPeriod, Hold, UsageRecord


def differences() -> Iterator[str]:
    """Periods whose sums are not those of their records, and calls that no budget knows of."""
    states = UsageRecord.State
    records = Hold.objects.values("period_id").annotate(
        settled=Coalesce(Sum("record__cost", filter=Q(record__state=states.SETTLED)), 0),
        open=Coalesce(Sum("record__hold", filter=Q(record__state=states.HELD)), 0),
    )
    periods = BudgetPeriod.objects.values(period_id=F("pk")).annotate(settled=F("spent"), open=F("held"))
    for pk, settled, held, says_spent, says_held in unequal(records, periods, key=["period_id"], width=2):
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
    loose = UsageRecord.objects.filter(
        ~Exists(Hold.objects.filter(record=OuterRef("pk"))), kind=UsageRecord.Kind.CALL
    ).order_by("pk")
    for pk in loose.values_list("pk", flat=True).iterator(chunk_size=CHUNK):
        yield f"Usage record {pk} has no hold in any budget."
