"""Mails that the product owes to people."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from billing.models.budgets import BudgetPeriod


class Notice(models.Model):
    """A mail to one user or to staff, written once a key, and sent after its transaction."""

    key = models.CharField(max_length=200, unique=True, help_text="What it is about; there is one mail a key.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Whom it goes to; empty: to staff.",
    )
    period = models.ForeignKey(
        BudgetPeriod, null=True, on_delete=models.PROTECT, related_name="notices", db_index=False
    )
    threshold = models.PositiveSmallIntegerField(null=True, help_text="Percent of the budget that were passed.")
    subject = models.CharField(max_length=200, blank=True, help_text="Empty: nothing is sent, another mail says it.")
    text = models.TextField(blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(help_text="Nobody tries to send it before; a lease while somebody does.")
    unanswered = models.PositiveSmallIntegerField(
        default=0, help_text="Tries that ended without the mail server's word, as when a process died."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["period", "threshold"], name="notice_once_a_threshold")]
        indexes = [models.Index(fields=["due_at"], condition=Q(sent_at=None), name="notice_to_send")]

    def __str__(self) -> str:
        return self.subject or self.key
