"""The trail: what people did about money."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from billing.models.records import UsageRecord


class Act(models.Model):
    """Something that a person did about money. Rows are only added; the database refuses anything else."""

    class Kind(models.TextChoices):
        LIMIT = "limit", "changed a limit"
        DISABLE = "disable", "disabled an account"
        ENABLE = "enable", "enabled an account"
        PRICE = "price", "added a price"
        ALIAS = "alias", "named a model's alias"
        CORRECTION = "correction", "corrected a record"
        ADJUSTMENT = "adjustment", "booked an adjustment"
        CREDIT = "credit", "granted credit"
        WRITE_OFF = "write_off", "wrote an amount off"
        CLOSING = "closing", "closed a month"

    at = models.DateTimeField(db_index=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    by_name = models.CharField(max_length=254, help_text="As it was then; a command says its own name.")
    kind = models.CharField(max_length=10, choices=Kind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="acts",
        help_text="Whom it concerns, where it concerns one person.",
    )
    record = models.ForeignKey(
        UsageRecord, null=True, on_delete=models.PROTECT, related_name="+", help_text="What was booked by it."
    )
    subject = models.CharField(max_length=300)
    before = models.CharField(max_length=500, blank=True)
    after = models.CharField(max_length=500, blank=True)
    amount = models.BigIntegerField(null=True, help_text="Nano-dollars that were booked, signed.")
    reason = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.by_name} {self.get_kind_display()}: {self.subject}"
