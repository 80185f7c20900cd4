"""Who may send."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class AccountQuerySet(models.QuerySet["Account"]):
    """Account states."""

    def disabled(self) -> AccountQuerySet:
        """Those who may read, but not send."""
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
    sign_in_taken = models.BooleanField(
        default=False, db_default=False, help_text="The budget took the sign-in away, and gives it back."
    )

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
