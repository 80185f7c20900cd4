"""Months that finance has closed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class MonthClosing(models.Model):
    """A month whose records are fixed, with their sums and a SHA-256 over them.

    From `started_at` on the database takes no record of that month; once `closed_at` is set, the row
    itself is never changed.
    """

    month = models.DateField(unique=True, help_text="Its first day.")
    started_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, help_text="Empty: its figures are still being added up.")
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    closed_by_name = models.CharField(max_length=254)
    records = models.BigIntegerField(null=True, help_text="Usage records of the month, released ones included.")
    calls = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    cached_input_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost = models.BigIntegerField(null=True, help_text="Nano-dollars.")
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="monthclosing_sealed_with_figures",
                condition=Q(closed_at=None, sha256="")
                | Q(closed_at__isnull=False, records__isnull=False, calls__isnull=False, cost__isnull=False)
                & ~Q(sha256=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month:%B %Y}"
