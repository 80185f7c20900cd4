"""Comparisons with the provider's figures, and the corrections that they propose."""

from __future__ import annotations

from datetime import date

from django.conf import settings
from django.db import models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from billing.models.prices import Price
from billing.models.records import UsageRecord


class Reconciliation(models.Model):
    """One comparison: which days, by which files, and what was found. Kept as it was."""

    started_at = models.DateTimeField(_("started at"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("by"), on_delete=models.PROTECT, related_name="+")
    by_name = models.CharField(_("by name"), max_length=254, help_text=_("As it was then."))
    first = models.DateField(_("first"), help_text=_("First day, in UTC, as the provider counts days."))
    last = models.DateField(_("last"), help_text=_("Last day, included."))
    files = models.JSONField(_("files"), help_text=_("Name and SHA-256 of each file."))
    keys = models.JSONField(
        _("keys"), default=dict, help_text=_("Fingerprints by the provider's names of keys, as they were given.")
    )
    report = models.JSONField(_("report"), help_text=_("Differences and notes."))
    by_hand = models.JSONField(
        _("by hand"),
        null=True,
        help_text=_("Corrections that it has seen and no proposal stands for, by day; empty: it did not look."),
    )

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.first} – {self.last}, {self.started_at:%Y-%m-%d %H:%M}"

    def proposed(self, *, below: int) -> dict[int, list[Proposal]]:
        """What it proposes, by the place of the difference that it settles, for the first so many of these."""
        found: dict[int, list[Proposal]] = {}
        for proposal in self.proposals.filter(difference__lt=below).select_related("booked_by", "record"):
            found.setdefault(proposal.difference, []).append(proposal)
        return found

    def open(self) -> QuerySet[Proposal]:
        """What somebody may book."""
        return self.proposals.filter(state=Proposal.State.OPEN)

    def booked(self) -> QuerySet[Proposal]:
        """What somebody has booked."""
        return self.proposals.filter(state=Proposal.State.BOOKED)


class ProposalQuerySet(models.QuerySet["Proposal"]):
    """Proposals."""

    def booked(self, *, first: date, last: date) -> ProposalQuerySet:
        """Those for some UTC days, both included, that somebody has booked."""
        return self.filter(day__range=(first, last), state=Proposal.State.BOOKED)


class Proposal(models.Model):
    """A correction that a comparison proposes. A person books it, once; a newer comparison of its day replaces it."""

    class Act(models.TextChoices):
        CORRECT = "correct", _("replace the record by the provider's figures")
        REVERSE = "reverse", _("take the record back")
        ADJUST = "adjust", _("book an adjustment")
        NOTE = "note", _("book nothing, and hold the difference for explained")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        BOOKED = "booked", _("booked")
        REPLACED = "replaced", _("replaced by a newer comparison")

    reconciliation = models.ForeignKey(
        Reconciliation, verbose_name=_("reconciliation"), on_delete=models.PROTECT, related_name="proposals"
    )
    difference = models.PositiveIntegerField(
        _("difference"), help_text=_("Which of the report's differences it settles.")
    )
    day = models.DateField(_("day"), help_text=_("In UTC."))
    model = models.CharField(_("model"), max_length=200, blank=True)
    key = models.CharField(_("key"), max_length=200, blank=True)
    act = models.CharField(_("act"), max_length=7, choices=Act)
    sentence = models.CharField(_("sentence"), max_length=500)
    record = models.ForeignKey(
        UsageRecord,
        verbose_name=_("record"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text=_("What it corrects."),
    )
    price = models.ForeignKey(
        Price, verbose_name=_("price"), null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # Of a correction, the right figures; of an adjustment, what is added.
    calls = models.IntegerField(_("calls"), default=0)
    input_tokens = models.BigIntegerField(_("input tokens"), default=0)
    cached_input_tokens = models.BigIntegerField(_("cached input tokens"), default=0)
    cache_write_tokens = models.BigIntegerField(_("cache write tokens"), default=0)
    output_tokens = models.BigIntegerField(_("output tokens"), default=0)
    amount = models.BigIntegerField(_("amount"), help_text=_("Nano-dollars that it adds to what was spent, signed."))
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.OPEN)
    booked_at = models.DateTimeField(_("booked at"), null=True)
    booked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("booked by"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    reason = models.CharField(
        _("reason"), max_length=500, blank=True, db_default="", help_text=_("Why it was booked by hand.")
    )
    booked = models.ForeignKey(
        UsageRecord,
        verbose_name=_("booked"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text=_("What was booked."),
    )

    objects = ProposalQuerySet.as_manager()

    class Meta:
        verbose_name = _("proposal")
        verbose_name_plural = _("proposals")
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
