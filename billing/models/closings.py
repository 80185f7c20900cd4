"""Months that finance has closed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import dates


class MonthClosing(models.Model):
    """A month whose records are fixed, with their sums and a SHA-256 over them.

    From `started_at` on the database takes no record of that month; once `closed_at` is set, the row
    itself is never changed.
    """

    month = models.DateField(_("month"), unique=True, help_text=_("Its first day."))
    started_at = models.DateTimeField(_("started at"))
    closed_at = models.DateTimeField(
        _("closed at"), null=True, help_text=_("Empty: its figures are still being added up.")
    )
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("closed by"), on_delete=models.PROTECT, related_name="+"
    )
    closed_by_name = models.CharField(_("closed by name"), max_length=254)
    records = models.BigIntegerField(
        _("records"), null=True, help_text=_("Usage records of the month, released ones included.")
    )
    calls = models.BigIntegerField(_("calls"), null=True)
    input_tokens = models.BigIntegerField(_("input tokens"), null=True)
    cached_input_tokens = models.BigIntegerField(_("cached input tokens"), null=True)
    cache_write_tokens = models.BigIntegerField(_("cache write tokens"), null=True)
    output_tokens = models.BigIntegerField(_("output tokens"), null=True)
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), null=True)
    cost = models.BigIntegerField(_("cost"), null=True, help_text=_("Nano-dollars."))
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("month closing")
        verbose_name_plural = _("month closings")
        constraints = [
            models.CheckConstraint(
                name="monthclosing_sealed_with_figures",
                condition=Q(closed_at=None, sha256="")
                | Q(closed_at__isnull=False, records__isnull=False, calls__isnull=False, cost__isnull=False)
                & ~Q(sha256=""),
            ),
        ]

    def __str__(self) -> str:
        return dates.month(self.month)
