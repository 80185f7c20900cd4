"""What beat runs for the money."""

from celery import shared_task
from django.utils import timezone

from billing import enforcement, rollup


@shared_task(name="billing.tasks.roll_up_spend")
def roll_up_spend() -> None:
    """Add newly settled records to daily spend."""
    rollup.roll_up()


@shared_task(name="billing.tasks.enforce_budgets")
def enforce_budgets() -> None:
    """Disable who is over budget, enable who is no longer."""
    enforcement.enforce_budgets(now=timezone.now())
