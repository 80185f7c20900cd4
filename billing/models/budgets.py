"""Limits, and what is spent and held of them in each day and month."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q


class Budget(models.Model):
    """A limit on spend over a calendar day or month, for one user, a group, or everyone."""

    class Scope(models.TextChoices):
        USER = "user", "one user"
        GROUP = "group", "a group"
        EVERYONE = "everyone", "everyone"

    class Period(models.TextChoices):
        DAY = "day", "day"
        MONTH = "month", "month"

    class AtLimit(models.TextChoices):
        REFUSE = "refuse", "refuse new messages"
        DEACTIVATE = "deactivate", "refuse new messages and take the sign-in away"

    scope = models.CharField(max_length=8, choices=Scope)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets"
    )
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets")
    period = models.CharField(max_length=5, choices=Period)
    limit = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Nano-dollars; empty: the default that the settings give."
    )
    at_limit = models.CharField(
        "at the limit",
        max_length=10,
        choices=AtLimit,
        default=AtLimit.REFUSE,
        db_default=AtLimit.REFUSE.value,
        help_text="Until the period ends or the limit is raised. The sign-in can be taken away by a user's own budget "
        "alone, and never from staff.",
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
            models.CheckConstraint(
                name="budget_deactivates_its_user",
                condition=Q(at_limit="refuse") | Q(at_limit="deactivate", scope="user"),
            ),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(limit__isnull=False), name="budget_with_a_limit")]

    def __str__(self) -> str:
        whom = self.user or self.group or "everyone"
        return f"{whom}, a {self.period}"


class BudgetPeriod(models.Model):
    """One budget's running row for one day or month. Written by `ledger` alone."""

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="periods")
    start = models.DateField(help_text="Its first spend date.")
    spent = models.BigIntegerField(default=0, help_text="Nano-dollars settled; negative where credit exceeds spend.")
    held = models.PositiveBigIntegerField(default=0, help_text="Nano-dollars set aside for calls under way.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "start"], name="budgetperiod_once"),
            models.CheckConstraint(condition=Q(held__gte=0), name="budgetperiod_held_not_negative"),
        ]
        indexes = [models.Index(fields=["start", "id"], name="budgetperiod_newest")]

    def __str__(self) -> str:
        return f"{self.budget} from {self.start}"
