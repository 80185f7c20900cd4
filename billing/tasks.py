"""What beat runs for the money."""

import logging
from functools import partial

from celery import Task, shared_task
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import ChannelError, KombuError

from billing import enforcement, exporting, notices, overview, rollup, runs, thresholds

logger = logging.getLogger(__name__)


@shared_task(name="billing.tasks.roll_up_spend")
def roll_up_spend() -> None:
    """Add newly settled records to daily spend."""
    rollup.roll_up()


@shared_task(name="billing.tasks.enforce_budgets")
def enforce_budgets() -> None:
    """Disable who is over budget, enable who is no longer."""
    enforcement.enforce_budgets(now=timezone.now())


@shared_task(name="billing.tasks.send_notices")
def send_notices() -> None:
    """Look for budgets that have passed a threshold, and send every mail that is owed."""
    thresholds.watch(now=timezone.now())
    notices.send_due(clock=timezone.now)


@shared_task(name="billing.tasks.send_mails")
def send_mails() -> None:
    """Send every mail that is owed."""
    notices.send_due(clock=timezone.now)


@shared_task(name="billing.tasks.take_overview")
def take_overview() -> None:
    """Have the dashboard's sums at hand, where it takes long to add them up."""
    overview.take(now=timezone.now())


@shared_task(name="billing.tasks.make_exports")
def make_exports() -> None:
    """Take up exports that wait, were forgotten, or whose worker is gone."""
    if runs.left_lying(now=timezone.now()):
        exporting.start(clock=timezone.now)


@shared_task(name="billing.tasks.tidy_exports")
def tidy_exports() -> None:
    """Remove the files of exports that have expired."""
    runs.tidy(now=timezone.now())


def ask_for_exports() -> None:
    """Have the exports that wait made once this transaction is committed; without a broker beat does so later."""
    transaction.on_commit(partial(_ask, make_exports))


def ask_for_mails() -> None:
    """Have the mails that are owed sent once this transaction is committed; without a broker beat does so later."""
    transaction.on_commit(partial(_ask, send_mails))


def _ask(task: "Task[[], None]") -> None:
    try:
        task.apply_async(retry=False)  # a request may wait for it
    except (KombuError, ChannelError, OSError):  # the last two: a folder that is full, or can't be written
        logger.warning("the broker did not take %s; beat will see to it", task.name)
