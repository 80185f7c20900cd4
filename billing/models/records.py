"""The books: one row a call, and one for everything that was put right later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Token
from billing.models.budgets import BudgetPeriod
from billing.models.prices import Price


class UsageRecord(models.Model):
    """One call to the provider, or what corrects one. Settled or released once, never deleted.

    A call is written before it leaves. A correction is written settled, in the open month, signed: what
    adds up records adds up both.
    """

    class Kind(models.TextChoices):
        CALL = "call", _("call")
        REVERSAL = "reversal", _("negated copy of a record that was wrong")
        REPLACEMENT = "replacement", _("right figures of a record that was wrong")
        ADJUSTMENT = "adjustment", _("usage or money that no record stands for")
        CREDIT = "credit", _("credit that was granted")
        WRITE_OFF = "write_off", _("amount that was written off")

    class State(models.TextChoices):
        HELD = "held", _("held")
        SETTLED = "settled", _("settled")
        RELEASED = "released", _("released")

    class Feature(models.TextChoices):
        CHAT = "chat", _("chat")
        TITLE = "title", _("title")
        ADJUSTMENT = "adjustment", _("adjustment")
        CREDIT = "credit", _("credit")
        WRITE_OFF = "write_off", _("write-off")

    class Outcome(models.TextChoices):
        COMPLETE = "complete", _("complete")
        STOPPED = "stopped", _("stopped")
        INTERRUPTED = "interrupted", _("interrupted")
        FAILED = "failed", _("failed")

    class Measured(models.TextChoices):
        PROVIDER = "provider", _("by the provider")
        ESTIMATED = "estimated", _("estimated from the text")
        INVOICE = "invoice", _("from the provider's invoice")

    TOKENS: ClassVar[tuple[str, ...]] = (
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
    )

    # The keys of its `periods` in the order of their locks, as long as whoever held the call has this very object.
    held_in: Sequence[int] = ()

    kind = models.CharField(_("kind"), max_length=11, choices=Kind, default=Kind.CALL, db_default=Kind.CALL.value)
    calls = models.IntegerField(
        _("calls"),
        default=1,
        db_default=1,
        help_text=_("Calls that it adds to a sum: 1; less for what takes one back."),
    )
    corrects = models.ForeignKey(
        "self",
        verbose_name=_("corrects"),
        null=True,
        on_delete=models.PROTECT,
        related_name="corrections",
        db_index=False,
    )
    reason = models.CharField(
        _("reason"), max_length=500, blank=True, db_default="", help_text=_("Why it was booked by hand.")
    )
    booked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("booked by"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )

    # Every index is written twice in a record's life. That of the user is in one below; by its price nobody
    # looks a record up.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.PROTECT,
        related_name="usage_records",
        db_index=False,
    )
    user_name = models.CharField(_("user name"), max_length=254, help_text=_("As it was when the call was held."))
    # A number and no link: a group may go, and the records of a closed month stay as they were.
    group_id = models.IntegerField(
        _("number of the group"), null=True, help_text=_("As it was when the call was held; the group may be gone.")
    )
    group_name = models.CharField(
        _("group name"), max_length=150, blank=True, help_text=_("As it was when the call was held.")
    )
    feature = models.CharField(_("feature"), max_length=20, choices=Feature, default=Feature.CHAT)
    model = models.CharField(_("model"), max_length=100, blank=True)
    price = models.ForeignKey(
        Price, verbose_name=_("price"), null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    key_fingerprint = models.CharField(
        _("key fingerprint"), max_length=12, blank=True, help_text=_("Which provider key made the call.")
    )
    api_token = models.ForeignKey(
        Token, verbose_name=_("api token"), null=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        help_text=_("The personal token that asked for the call, where one did."),
    )  # fmt: skip
    provider_request_id = models.CharField(_("provider request id"), max_length=200, blank=True)

    spend_date = models.DateField(
        _("spend date"), help_text=_("In the billing time zone, when the call was held; fixed for good then.")
    )
    held_at = models.DateTimeField(_("held at"))
    settled_at = models.DateTimeField(_("settled at"), null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.HELD)
    outcome = models.CharField(_("outcome"), max_length=11, choices=Outcome, blank=True)
    measured = models.CharField(_("measured"), max_length=9, choices=Measured, blank=True)

    input_bound = models.PositiveIntegerField(_("input bound"), help_text=_("Input tokens that the hold was made for."))
    output_cap = models.PositiveIntegerField(_("output cap"), help_text=_("Output tokens that the hold was made for."))
    hold = models.PositiveBigIntegerField(_("hold"), help_text=_("Nano-dollars set aside."))
    cost = models.BigIntegerField(_("cost"), default=0, help_text=_("Nano-dollars; 0 until settled."))
    over_hold = models.BooleanField(
        _("over hold"), default=False, help_text=_("The true cost exceeded the hold: a bound was wrong.")
    )

    input_tokens = models.IntegerField(
        _("input tokens"), default=0, help_text=_("All input tokens, cached ones included.")
    )
    cached_input_tokens = models.IntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.IntegerField(_("cache write tokens"), default=0)
    output_tokens = models.IntegerField(
        _("output tokens"), default=0, help_text=_("All output tokens, reasoning included.")
    )
    reasoning_tokens = models.IntegerField(_("reasoning tokens"), default=0)
    extra_tokens = models.JSONField(
        _("extra tokens"), null=True, help_text=_("Tokens of classes without a column, by class.")
    )
    unpriced_classes = models.CharField(
        _("unpriced classes"),
        max_length=300,
        blank=True,
        db_default="",
        help_text=_("Classes of these that its price has no rate for."),
    )
    usage = models.JSONField(_("usage"), null=True, help_text=_("The provider's usage object, as it came."))

    periods = models.ManyToManyField(BudgetPeriod, verbose_name=_("periods"), through="Hold", related_name="records")

    class Meta:
        verbose_name = _("usage record")
        verbose_name_plural = _("usage records")
        constraints = [
            models.CheckConstraint(
                name="usagerecord_state",
                condition=Q(state="held", kind="call", settled_at=None, outcome="", measured="", cost=0)
                | Q(state="settled", settled_at__isnull=False)
                & (~Q(outcome="") & ~Q(measured="") | ~Q(kind__in=["call", "replacement"]))
                | Q(state="released", kind="call", settled_at__isnull=False, cost=0, measured="") & ~Q(outcome=""),
            ),
            models.CheckConstraint(
                name="usagerecord_kind",
                condition=Q(kind="call", corrects=None, price__isnull=False, calls=1, reason="", booked_by=None)
                | Q(kind="reversal", corrects__isnull=False, booked_by__isnull=False, hold=0) & ~Q(reason="")
                | Q(kind="replacement", corrects__isnull=False, price__isnull=False, booked_by__isnull=False, hold=0)
                & ~Q(reason="")
                | Q(kind="adjustment", corrects=None, booked_by__isnull=False, hold=0) & ~Q(reason="")
                | Q(kind__in=["credit", "write_off"], corrects=None, price=None, booked_by__isnull=False, hold=0)
                & Q(cost__lt=0, calls=0, input_tokens=0, output_tokens=0)
                & ~Q(reason=""),
            ),
            models.CheckConstraint(
                name="usagerecord_token_classes",
                condition=Q(
                    cached_input_tokens__gte=0,
                    cache_write_tokens__gte=0,
                    reasoning_tokens__gte=0,
                    input_tokens__gte=F("cached_input_tokens") + F("cache_write_tokens"),
                    output_tokens__gte=F("reasoning_tokens"),
                )
                | Q(
                    kind="reversal",
                    cached_input_tokens__lte=0,
                    cache_write_tokens__lte=0,
                    reasoning_tokens__lte=0,
                    input_tokens__lte=F("cached_input_tokens") + F("cache_write_tokens"),
                    output_tokens__lte=F("reasoning_tokens"),
                ),
            ),
            models.CheckConstraint(
                name="usagerecord_call_not_negative", condition=Q(cost__gte=0) | ~Q(kind__in=["call", "replacement"])
            ),
            models.UniqueConstraint(
                fields=["corrects", "kind"], condition=Q(corrects__isnull=False), name="usagerecord_corrected_once"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-held_at"], name="usagerecord_user_held"),
            models.Index(fields=["spend_date", "id"], name="usagerecord_day"),
            models.Index(
                fields=["api_token", "cost"], condition=Q(api_token__isnull=False), name="usagerecord_api_token"
            ),
            models.Index(fields=["held_at"], condition=Q(state="held"), name="usagerecord_open"),
            models.Index(fields=["id"], condition=~Q(kind="call"), name="usagerecord_booked"),
            models.Index(fields=["id"], condition=~Q(unpriced_classes=""), name="usagerecord_unpriced"),
            models.Index(fields=["spend_date"], condition=Q(measured="estimated"), name="usagerecord_estimated"),
        ]

    def __str__(self) -> str:
        what = self.model or self.get_kind_display()
        return gettext("%(number)s: %(what)s for %(name)s") % {"number": self.pk, "what": what, "name": self.user_name}

    @property
    def held_price(self) -> Price:
        """The price that its tokens are charged at; ValueError where it is an amount without tokens."""
        if self.price is None:
            raise ValueError(f"usage record {self.pk} is an amount, it has no price")
        return self.price


class Hold(models.Model):
    """A usage record's place in one budget period; the amounts are the record's."""

    # The unique index begins with it.
    record = models.ForeignKey(
        UsageRecord, verbose_name=_("record"), on_delete=models.PROTECT, related_name="holds", db_index=False
    )
    period = models.ForeignKey(BudgetPeriod, verbose_name=_("period"), on_delete=models.PROTECT, related_name="holds")

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [models.UniqueConstraint(fields=["record", "period"], name="hold_once")]

    def __str__(self) -> str:
        return f"{self.record_id}, {self.period_id}"
