"""Mails that the product owes to people."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models.budgets import BudgetPeriod


class Notice(models.Model):
    """A mail to one user, to staff or to an address, written once a key, and sent after its transaction."""

    key = models.CharField(
        _("key"), max_length=200, unique=True, help_text=_("What it is about; there is one mail a key.")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Whom it goes to; empty: to staff."),
    )
    to = models.EmailField(
        _("recipient"),
        blank=True,
        db_default="",
        help_text=_("The address of a mail that is forgotten once it is sent; its text is sealed until then."),
    )
    period = models.ForeignKey(
        BudgetPeriod,
        verbose_name=_("period"),
        null=True,
        on_delete=models.PROTECT,
        related_name="notices",
        db_index=False,
    )
    threshold = models.PositiveSmallIntegerField(
        _("threshold"), null=True, help_text=_("Percent of the budget that were passed.")
    )
    subject = models.CharField(
        _("subject"), max_length=200, blank=True, help_text=_("Empty: nothing is sent, another mail says it.")
    )
    text = models.TextField(_("text"), blank=True)
    created_at = models.DateTimeField(_("created at"))
    sent_at = models.DateTimeField(_("sent at"), null=True)
    due_at = models.DateTimeField(
        _("due at"), help_text=_("Nobody tries to send it before; a lease while somebody does.")
    )
    unanswered = models.PositiveSmallIntegerField(
        _("unanswered"),
        default=0,
        help_text=_("Tries that ended without the mail server's word, as when a process died."),
    )

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints = [models.UniqueConstraint(fields=["period", "threshold"], name="notice_once_a_threshold")]
        indexes = [models.Index(fields=["due_at"], condition=Q(sent_at=None), name="notice_to_send")]

    def __str__(self) -> str:
        return self.subject or self.key
