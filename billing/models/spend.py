"""What reports are made from: the roll-up, and what it has not counted yet."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.records import UsageRecord


class Sums(models.Model):
    """What a roll-up adds up. Signed: a day on which more is taken back than spent is below zero."""

    calls = models.BigIntegerField(_("calls"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    cached_input_tokens = models.BigIntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.BigIntegerField(_("cache write tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), default=0)
    cost = models.BigIntegerField(_("cost"), default=0, help_text=_("Nano-dollars."))

    class Meta:
        abstract = True


class DailySpend(Sums):
    """The roll-up of settled usage records by day, user, model, feature, provider key and group."""

    KEY: ClassVar[tuple[str, ...]] = ("spend_date", "user_id", "model", "feature", "key_fingerprint", "group_name")
    SUMS: ClassVar[tuple[str, ...]] = ("calls", *UsageRecord.TOKENS, "cost")

    spend_date = models.DateField(_("spend date"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.PROTECT, related_name="daily_spend"
    )
    model = models.CharField(_("model"), max_length=100, blank=True)
    feature = models.CharField(_("feature"), max_length=20, choices=UsageRecord.Feature)
    key_fingerprint = models.CharField(_("key fingerprint"), max_length=12, blank=True)
    group_name = models.CharField(_("group name"), max_length=150, blank=True, db_default="")

    class Meta:
        verbose_name = _("daily spend")
        verbose_name_plural = _("daily spend")
        constraints = [
            models.UniqueConstraint(
                fields=["spend_date", "user", "model", "feature", "key_fingerprint", "group_name"],
                name="dailyspend_once",
            )
        ]
        indexes = [models.Index(fields=["user", "-spend_date"], name="dailyspend_user_day")]

    def __str__(self) -> str:
        return f"{self.spend_date}: {self.user_id} {self.model} {self.get_feature_display()}"


class DailyTotal(Sums):
    """Daily spend of all users together: few rows a day, however many people there are."""

    KEY: ClassVar[tuple[str, ...]] = ("spend_date", "model", "feature", "key_fingerprint", "group_name")

    spend_date = models.DateField(_("spend date"))
    model = models.CharField(_("model"), max_length=100, blank=True)
    feature = models.CharField(_("feature"), max_length=20, choices=UsageRecord.Feature)
    key_fingerprint = models.CharField(_("key fingerprint"), max_length=12, blank=True)
    group_name = models.CharField(_("group name"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("daily total")
        verbose_name_plural = _("daily totals")
        constraints = [
            models.UniqueConstraint(
                fields=["spend_date", "model", "feature", "key_fingerprint", "group_name"], name="dailytotal_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.spend_date}: {self.model} {self.get_feature_display()}"


class MonthlySpend(Sums):
    """Daily spend of a calendar month by user alone: who spends most is found among few rows."""

    KEY: ClassVar[tuple[str, ...]] = ("month", "user_id")

    month = models.DateField(_("month"), help_text=_("Its first day."))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        verbose_name = _("monthly spend")
        verbose_name_plural = _("monthly spend")
        constraints = [models.UniqueConstraint(fields=["month", "user"], name="monthlyspend_once")]

    def __str__(self) -> str:
        return f"{self.month}: {self.user_id}"


class UncountedRecord(models.Model):
    """A settled usage record that daily spend does not count yet.

    The database writes it (a trigger) with whatever settles the record, and the roll-up that counts the record
    deletes it. So it is there exactly while the record is in no daily spend.
    """

    record = models.OneToOneField(
        UsageRecord,
        verbose_name=_("record"),
        primary_key=True,
        on_delete=models.PROTECT,
        related_name="uncounted",
        db_constraint=False,  # the trigger has the record before it; looking it up again would cost each settle
    )

    class Meta:
        verbose_name = _("uncounted record")
        verbose_name_plural = _("uncounted records")

    def __str__(self) -> str:
        return str(self.record_id)
