"""Comparisons with the provider's figures, and the corrections that they propose."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from billing.models.prices import Price
from billing.models.records import UsageRecord


class Reconciliation(models.Model):
    """One comparison: which days, by which files, and what was found. Kept as it was."""

    started_at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    by_name = models.CharField(max_length=254, help_text="As it was then.")
    first = models.DateField(help_text="First day, in UTC, as the provider counts days.")
    last = models.DateField(help_text="Last day, included.")
    files = models.JSONField(help_text="Name and SHA-256 of each file.")
    keys = models.JSONField(default=dict, help_text="Fingerprints by the provider's names of keys, as they were given.")
    report = models.JSONField(help_text="Differences and notes.")

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.first} to {self.last}, {self.started_at:%Y-%m-%d %H:%M}"


class Proposal(models.Model):
    """A correction that a comparison proposes. A person books it, once; a newer comparison of its day replaces it."""

    class Act(models.TextChoices):
        CORRECT = "correct", "replace the record by the provider's figures"
        REVERSE = "reverse", "take the record back"
        ADJUST = "adjust", "book an adjustment"
        NOTE = "note", "book nothing, and hold the difference for explained"

    class State(models.TextChoices):
        OPEN = "open", "open"
        BOOKED = "booked", "booked"
        REPLACED = "replaced", "replaced by a newer comparison"

    reconciliation = models.ForeignKey(Reconciliation, on_delete=models.PROTECT, related_name="proposals")
    difference = models.PositiveIntegerField(help_text="Which of the report's differences it settles.")
    day = models.DateField(help_text="In UTC.")
    model = models.CharField(max_length=200, blank=True)
    key = models.CharField(max_length=200, blank=True)
    act = models.CharField(max_length=7, choices=Act)
    sentence = models.CharField(max_length=500)
    record = models.ForeignKey(
        UsageRecord,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="What it corrects.",
    )
    price = models.ForeignKey(Price, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    # Of a correction, the right figures; of an adjustment, what is added.
    calls = models.IntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    amount = models.BigIntegerField(help_text="Nano-dollars that it adds to what was spent, signed.")
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    booked_at = models.DateTimeField(null=True)
    booked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    booked = models.ForeignKey(
        UsageRecord, null=True, on_delete=models.PROTECT, related_name="+", db_index=False, help_text="What was booked."
    )

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                name="proposal_booked_by_somebody",
                condition=Q(state="booked", booked_at__isnull=False, booked_by__isnull=False)
                | ~Q(state="booked") & Q(booked_at=None, booked_by=None, booked=None),
            ),
            models.CheckConstraint(
                name="proposal_names_its_record",
                condition=Q(act__in=["correct", "reverse"], record__isnull=False)
                | Q(act__in=["adjust", "note"], record=None),
            ),
        ]
        indexes = [models.Index(fields=["day", "state"], name="proposal_day")]

    def __str__(self) -> str:
        return self.sentence
