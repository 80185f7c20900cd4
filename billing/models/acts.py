"""The trail: what people did about money."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models.records import UsageRecord


class Act(models.Model):
    """Something that a person did about money. Rows are only added; the database refuses anything else."""

    class Kind(models.TextChoices):
        LIMIT = "limit", _("changed a limit")
        DISABLE = "disable", _("disabled an account")
        ENABLE = "enable", _("enabled an account")
        PRICE = "price", _("added a price")
        ALIAS = "alias", _("named a model's alias")
        CORRECTION = "correction", _("corrected a record")
        ADJUSTMENT = "adjustment", _("booked an adjustment")
        CREDIT = "credit", _("granted credit")
        WRITE_OFF = "write_off", _("wrote an amount off")
        CLOSING = "closing", _("closed a month")

    at = models.DateTimeField(_("at"), db_index=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("by"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    by_name = models.CharField(
        _("by name"), max_length=254, help_text=_("As it was then; a command says its own name.")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        on_delete=models.PROTECT,
        related_name="acts",
        help_text=_("Whom it concerns, where it concerns one person."),
    )
    record = models.ForeignKey(
        UsageRecord,
        verbose_name=_("record"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("What was booked by it."),
    )
    subject = models.CharField(_("subject"), max_length=300)
    before = models.CharField(_("before"), max_length=500, blank=True)
    after = models.CharField(_("after"), max_length=500, blank=True)
    amount = models.BigIntegerField(_("amount"), null=True, help_text=_("Nano-dollars that were booked, signed."))
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    idempotency_key = models.UUIDField(
        _("idempotency key"), null=True, help_text=_("Of the form that asked for it: sent twice, it acts once.")
    )

    class Meta:
        verbose_name = _("act")
        verbose_name_plural = _("acts")
        constraints = [
            models.UniqueConstraint(  # one form may act on many users
                fields=["idempotency_key", "user"],
                condition=Q(idempotency_key__isnull=False),
                name="act_idempotency_key",
            )
        ]

    def __str__(self) -> str:
        return f"{self.by_name} {self.get_kind_display()}: {self.subject}"
