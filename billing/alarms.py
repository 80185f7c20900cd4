"""What staff are told of a call that was settled otherwise than it should be."""

import logging
from datetime import datetime

from billing import money, notices
from billing.models import UsageRecord

logger = logging.getLogger(__name__)


def tell_over_hold(record: UsageRecord, *, now: datetime) -> None:
    """The truth exceeded the hold."""
    cost, held = (f"${money.to_json(nano)}" for nano in (record.cost, record.hold))
    logger.error("usage record %s cost %s nano-dollars, over its hold of %s", record.pk, record.cost, record.hold)
    notices.note(
        key=f"over hold:{record.pk}",
        subject=f"A call cost more than was set aside: usage record {record.pk}",
        text=f"Usage record {record.pk} ({record.model}) cost {cost}, and {held} had been set aside for it. The true "
        "cost is booked. A bound of ours was wrong: the count of the input, the output cap, or the price.",
        now=now,
    )


def tell_unpriced(record: UsageRecord, *, now: datetime) -> None:
    """The provider counted tokens of a class that the price has no rate for."""
    logger.error("usage record %s has tokens without a rate: %s", record.pk, record.unpriced_classes)
    notices.note(
        key=f"unpriced class:{record.spend_date}:{record.model}:{record.unpriced_classes}",  # what is long comes last
        subject=f"{record.model} used tokens that its price has no rate for: {record.unpriced_classes}",
        text=f"The provider counted tokens of {record.unpriced_classes} for usage record {record.pk} and maybe others. "
        f"The price of {record.model} has no rate for them, so they are charged as plain tokens of their side, or not "
        "at all where they are part of neither. The counts are kept on the records.\n\nAdd a price with the rate in "
        "the admin; it holds for new calls. The records so far are listed under Usage records, by the filter for "
        "unpriced classes, and can be corrected.",
        now=now,
    )
