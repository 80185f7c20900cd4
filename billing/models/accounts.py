"""Who may send."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class AccountQuerySet(models.QuerySet["Account"]):
    """Account states."""

    def disabled(self) -> AccountQuerySet:
        """Those who may read, but not send."""
        return self.exclude(disabled_by="")


class Account(models.Model):
    """Whether a user may send, and if not, by whom, why and until when it was disabled."""

    class By(models.TextChoices):
        NOBODY = "", _("not disabled")
        BUDGET = "budget", _("by the budget")
        STAFF = "staff", _("by staff")

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        primary_key=True,
        on_delete=models.PROTECT,
        related_name="account",
    )
    disabled_by = models.CharField(_("disabled by"), max_length=6, choices=By, blank=True, default=By.NOBODY)
    disabled_at = models.DateTimeField(_("disabled at"), null=True, blank=True)
    disabled_until = models.DateTimeField(
        _("disabled until"), null=True, blank=True, help_text=_("Empty: until someone enables it.")
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    sign_in_taken = models.BooleanField(
        _("sign in taken"),
        default=False,
        db_default=False,
        help_text=_("The budget took the sign-in away, and gives it back."),
    )

    objects = AccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.CheckConstraint(
                name="account_disabled_has_an_instant",
                condition=Q(disabled_by="", disabled_at=None, disabled_until=None)
                | ~Q(disabled_by="") & Q(disabled_at__isnull=False),
            )
        ]

    @property
    def reason_shown(self) -> str:
        """Why it is disabled: in staff's own words, or the budget's in the language that is spoken."""
        return gettext(self.reason) if self.reason else gettext("No reason was given.")

    def __str__(self) -> str:
        return f"{self.user}: {self.get_disabled_by_display()}"
