"""What is spent: prices, budgets and their periods, usage records, daily spend, account state.

Money is an integer of nano-dollars (10⁻⁹ $); prices are nano-dollars per million tokens.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils import timezone


class PriceQuerySet(models.QuerySet["Price"]):
    """Prices."""

    def in_force(self, *, model: str, at: datetime) -> Price | None:
        """The newest price of a model that holds at an instant, or None where it has none."""
        return self.filter(model=model, effective_from__lte=at).order_by("-effective_from").first()


class Price(models.Model):
    """What a model costs from an instant on, and what it takes. Never edited: a change is a new row."""

    class Source(models.TextChoices):
        CATALOGUE = "catalogue", "published list price"
        DEMO = "demo", "demo price, nobody is charged it"
        NEGOTIATED = "negotiated", "negotiated price"

    model = models.CharField(max_length=100)
    effective_from = models.DateTimeField()
    source = models.CharField(max_length=12, choices=Source)
    input_price = models.PositiveBigIntegerField(help_text="Nano-dollars per million input tokens.")
    cached_input_price = models.PositiveBigIntegerField(help_text="Nano-dollars per million cached input tokens.")
    cache_write_price = models.PositiveBigIntegerField(help_text="Nano-dollars per million tokens written to a cache.")
    output_price = models.PositiveBigIntegerField(
        help_text="Nano-dollars per million output tokens, reasoning included."
    )
    tokenizer = models.CharField(max_length=30, help_text="o200k_base, cl100k_base, or bytes where it is not known.")
    context_window = models.PositiveIntegerField(help_text="Tokens, prompt and answer together.")
    takes_temperature = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = PriceQuerySet.as_manager()

    class Meta:
        ordering = ["model", "-effective_from"]
        constraints = [models.UniqueConstraint(fields=["model", "effective_from"], name="price_once_per_instant")]

    def __str__(self) -> str:
        return f"{self.model} from {self.effective_from:%Y-%m-%d}"


class Budget(models.Model):
    """A limit on spend over a calendar day or month, for one user, a group, or everyone."""

    class Scope(models.TextChoices):
        USER = "user", "one user"
        GROUP = "group", "a group"
        EVERYONE = "everyone", "everyone"

    class Period(models.TextChoices):
        DAY = "day", "day"
        MONTH = "month", "month"

    scope = models.CharField(max_length=8, choices=Scope)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets"
    )
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets")
    period = models.CharField(max_length=5, choices=Period)
    limit = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Nano-dollars; empty: the default that the settings give."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="budget_scope_names_whom",
                condition=Q(scope="user", user__isnull=False, group=None)
                | Q(scope="group", user=None, group__isnull=False)
                | Q(scope="everyone", user=None, group=None),
            ),
            models.UniqueConstraint(fields=["user", "period"], condition=Q(scope="user"), name="budget_user_period"),
            models.UniqueConstraint(fields=["group", "period"], condition=Q(scope="group"), name="budget_group_period"),
            models.UniqueConstraint(fields=["period"], condition=Q(scope="everyone"), name="budget_everyone_period"),
            models.CheckConstraint(
                name="budget_has_a_limit",
                condition=Q(limit__isnull=False) | Q(scope="user") | Q(scope="everyone", period="day"),
            ),
        ]

    def __str__(self) -> str:
        whom = self.user or self.group or "everyone"
        return f"{whom}, a {self.period}"


class BudgetPeriod(models.Model):
    """One budget's running row for one day or month. Written by `ledger` alone."""

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="periods")
    start = models.DateField(help_text="Its first spend date.")
    spent = models.PositiveBigIntegerField(default=0, help_text="Nano-dollars settled.")
    held = models.PositiveBigIntegerField(default=0, help_text="Nano-dollars set aside for calls under way.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "start"], name="budgetperiod_once"),
            models.CheckConstraint(condition=Q(spent__gte=0), name="budgetperiod_spent_not_negative"),
            models.CheckConstraint(condition=Q(held__gte=0), name="budgetperiod_held_not_negative"),
        ]
        indexes = [models.Index(fields=["start"], name="budgetperiod_start")]

    def __str__(self) -> str:
        return f"{self.budget} from {self.start}"


class UsageRecord(models.Model):
    """One call to the provider. Written before it leaves, settled or released once, never deleted."""

    class State(models.TextChoices):
        HELD = "held", "held"
        SETTLED = "settled", "settled"
        RELEASED = "released", "released"

    class Outcome(models.TextChoices):
        COMPLETE = "complete", "complete"
        STOPPED = "stopped", "stopped"
        INTERRUPTED = "interrupted", "interrupted"
        FAILED = "failed", "failed"

    class Measured(models.TextChoices):
        PROVIDER = "provider", "by the provider"
        ESTIMATED = "estimated", "estimated from the text"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="usage_records")
    user_name = models.CharField(max_length=254, help_text="As it was when the call was held.")
    group = models.ForeignKey(Group, null=True, on_delete=models.SET_NULL, related_name="+")
    group_name = models.CharField(max_length=150, blank=True, help_text="As it was when the call was held.")
    feature = models.CharField(max_length=20, default="chat")
    model = models.CharField(max_length=100)
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="+")
    key_fingerprint = models.CharField(max_length=12, blank=True, help_text="Which provider key made the call.")
    provider_request_id = models.CharField(max_length=200, blank=True)

    spend_date = models.DateField(help_text="In the billing time zone, when the call was held; fixed for good then.")
    held_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.HELD)
    outcome = models.CharField(max_length=11, choices=Outcome, blank=True)
    measured = models.CharField(max_length=9, choices=Measured, blank=True)

    input_bound = models.PositiveIntegerField(help_text="Input tokens that the hold was made for.")
    output_cap = models.PositiveIntegerField(help_text="Output tokens that the hold was made for.")
    hold = models.PositiveBigIntegerField(help_text="Nano-dollars set aside.")
    cost = models.PositiveBigIntegerField(default=0, help_text="Nano-dollars; 0 until settled.")
    over_hold = models.BooleanField(default=False, help_text="The true cost exceeded the hold: a bound was wrong.")

    input_tokens = models.PositiveIntegerField(default=0, help_text="All input tokens, cached ones included.")
    cached_input_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0, help_text="All output tokens, reasoning included.")
    reasoning_tokens = models.PositiveIntegerField(default=0)
    usage = models.JSONField(null=True, help_text="The provider's usage object, as it came.")

    rolled_up = models.BooleanField(default=False, help_text="Counted in daily spend.")
    periods = models.ManyToManyField(BudgetPeriod, through="Hold", related_name="records")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="usagerecord_state",
                condition=Q(state="held", settled_at=None, outcome="", measured="", cost=0)
                | Q(state="settled", settled_at__isnull=False) & ~Q(outcome="") & ~Q(measured="")
                | Q(state="released", settled_at__isnull=False, cost=0, measured="") & ~Q(outcome=""),
            ),
            models.CheckConstraint(
                name="usagerecord_token_classes",
                condition=Q(input_tokens__gte=models.F("cached_input_tokens") + models.F("cache_write_tokens"))
                & Q(output_tokens__gte=models.F("reasoning_tokens")),
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-held_at"], name="usagerecord_user_held"),
            models.Index(fields=["spend_date", "id"], name="usagerecord_day"),
            models.Index(fields=["held_at"], condition=Q(state="held"), name="usagerecord_open"),
            models.Index(fields=["id"], condition=Q(state="settled", rolled_up=False), name="usagerecord_to_roll_up"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.model} for {self.user_name}"


class Hold(models.Model):
    """A usage record's hold in one budget period; the amount is the record's."""

    record = models.ForeignKey(UsageRecord, on_delete=models.PROTECT, related_name="holds")
    period = models.ForeignKey(BudgetPeriod, on_delete=models.PROTECT, related_name="holds")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "period"], name="hold_once")]

    def __str__(self) -> str:
        return f"{self.record_id} in {self.period_id}"


class DailySpend(models.Model):
    """The roll-up of settled usage records by day, user, model, feature and provider key."""

    KEY: ClassVar[tuple[str, ...]] = ("spend_date", "user_id", "model", "feature", "key_fingerprint")
    SUMS: ClassVar[tuple[str, ...]] = (
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cost",
    )

    spend_date = models.DateField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="daily_spend")
    model = models.CharField(max_length=100)
    feature = models.CharField(max_length=20)
    key_fingerprint = models.CharField(max_length=12, blank=True)
    calls = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_input_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.PositiveBigIntegerField(default=0, help_text="Nano-dollars.")

    class Meta:
        verbose_name_plural = "daily spend"
        constraints = [
            models.UniqueConstraint(
                fields=["spend_date", "user", "model", "feature", "key_fingerprint"], name="dailyspend_once"
            )
        ]
        indexes = [models.Index(fields=["user", "-spend_date"], name="dailyspend_user_day")]

    def __str__(self) -> str:
        return f"{self.spend_date}: {self.user_id} {self.model} {self.feature}"


class AccountQuerySet(models.QuerySet["Account"]):
    """Account states."""

    def disabled(self) -> AccountQuerySet:
        """Those who may read and sign in, but not send."""
        return self.exclude(disabled_by="")


class Account(models.Model):
    """Whether a user may send, and if not, by whom, why and until when it was disabled."""

    class By(models.TextChoices):
        NOBODY = "", "not disabled"
        BUDGET = "budget", "by the budget"
        STAFF = "staff", "by staff"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.PROTECT, related_name="account"
    )
    disabled_by = models.CharField(max_length=6, choices=By, blank=True, default=By.NOBODY)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_until = models.DateTimeField(null=True, blank=True, help_text="Empty: until someone enables it.")
    reason = models.CharField(max_length=200, blank=True)

    objects = AccountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="account_disabled_has_an_instant",
                condition=Q(disabled_by="", disabled_at=None, disabled_until=None)
                | ~Q(disabled_by="") & Q(disabled_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_disabled_by_display()}"
