"""Limits, and what is spent and held of them in each day and month."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class Budget(models.Model):
    """A limit on spend over a calendar day or month, for one user, a group, or everyone."""

    class Scope(models.TextChoices):
        USER = "user", _("one user")
        GROUP = "group", _("a group")
        EVERYONE = "everyone", _("everyone")

    class Period(models.TextChoices):
        DAY = "day", _("day")
        MONTH = "month", _("month")

    class AtLimit(models.TextChoices):
        REFUSE = "refuse", _("refuse new messages")
        DEACTIVATE = "deactivate", _("refuse new messages and take the sign-in away")

    scope = models.CharField(_("scope"), max_length=8, choices=Scope)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="budgets",
    )
    group = models.ForeignKey(
        Group, verbose_name=_("group"), null=True, blank=True, on_delete=models.PROTECT, related_name="budgets"
    )
    period = models.CharField(_("period"), max_length=5, choices=Period)
    limit = models.PositiveBigIntegerField(
        _("limit"), null=True, blank=True, help_text=_("Nano-dollars; empty: the default that the settings give.")
    )
    at_limit = models.CharField(
        _("at the limit"),
        max_length=10,
        choices=AtLimit,
        default=AtLimit.REFUSE,
        db_default=AtLimit.REFUSE.value,
        help_text=_(
            "Until the period ends or the limit is raised. The sign-in can be taken away by a user's own budget "
            "alone, and never from staff."
        ),
    )

    class Meta:
        verbose_name = _("budget")
        verbose_name_plural = _("budgets")
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
        whom = self.user or self.group or gettext("everyone")
        return (gettext("%(whom)s, a day") if self.period == self.Period.DAY else gettext("%(whom)s, a month")) % {
            "whom": whom
        }


class BudgetPeriod(models.Model):
    """One budget's running row for one day or month. Written by `ledger` alone."""

    budget = models.ForeignKey(Budget, verbose_name=_("budget"), on_delete=models.PROTECT, related_name="periods")
    start = models.DateField(_("start"), help_text=_("Its first spend date."))
    spent = models.BigIntegerField(
        _("spent"), default=0, help_text=_("Nano-dollars settled; negative where credit exceeds spend.")
    )
    held = models.PositiveBigIntegerField(
        _("held"), default=0, help_text=_("Nano-dollars set aside for calls under way.")
    )

    class Meta:
        verbose_name = _("budget period")
        verbose_name_plural = _("budget periods")
        constraints = [
            models.UniqueConstraint(fields=["budget", "start"], name="budgetperiod_once"),
            models.CheckConstraint(condition=Q(held__gte=0), name="budgetperiod_held_not_negative"),
        ]
        indexes = [models.Index(fields=["start", "id"], name="budgetperiod_newest")]

    def __str__(self) -> str:
        return gettext("%(budget)s from %(start)s") % {"budget": self.budget, "start": self.start}
