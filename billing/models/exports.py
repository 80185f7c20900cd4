"""Exports: those made in the background, and those that were sent at once."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class ExportRun(models.Model):
    """An export: who asked for what, how far it is, and what became of it.

    A worker has it under a lease; what it writes goes through `runs`, which finds the lease its own. The
    row stays when the file has expired: it says what was given out.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("being made")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    format = models.CharField(_("format"), max_length=20)
    focus_version = models.CharField(_("focus version"), max_length=10, blank=True)
    first = models.DateField(_("first"), help_text=_("First spend date."))
    last = models.DateField(_("last"), help_text=_("Last spend date, included."))
    filters = models.JSONField(_("filters"), default=dict)

    state = models.CharField(_("state"), max_length=9, choices=State, default=State.WAITING)
    created_at = models.DateTimeField(_("created at"))
    started_at = models.DateTimeField(_("started at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    lease_owner = models.UUIDField(_("lease owner"), null=True)
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True)
    error = models.CharField(_("error"), max_length=300, blank=True)

    of = models.BigIntegerField(
        _("of"), null=True, help_text=_("Usage records that there are; empty: not counted yet.")
    )
    done = models.BigIntegerField(_("done"), default=0, help_text=_("Usage records written so far."))
    rows = models.BigIntegerField(_("rows"), null=True, help_text=_("Lines of data in the file."))
    cost = models.BigIntegerField(_("cost"), null=True, help_text=_("Nano-dollars in the file."))
    size = models.BigIntegerField(_("size"), null=True, help_text=_("Bytes."))
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True)
    file_name = models.CharField(
        _("file name"), max_length=200, blank=True, help_text=_("In the folder; empty: no longer there.")
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, help_text=_("When the file goes."))

    class Meta:
        verbose_name = _("export run")
        verbose_name_plural = _("export runs")
        constraints = [
            # Of several workers one makes exports, and the others stay free for everything else.
            models.UniqueConstraint(fields=["state"], condition=Q(state="running"), name="exportrun_one_at_a_time"),
            models.CheckConstraint(
                name="exportrun_state",
                condition=Q(state="running", lease_owner__isnull=False, lease_expires_at__isnull=False, ended_at=None)
                | Q(state="waiting", lease_owner=None, ended_at=None)
                | Q(state__in=["failed", "cancelled"], ended_at__isnull=False, file_name="")
                | Q(state="done", ended_at__isnull=False, rows__isnull=False, cost__isnull=False)
                & Q(size__isnull=False, expires_at__isnull=False)
                & ~Q(sha256=""),
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], condition=~Q(file_name=""), name="exportrun_with_a_file")]

    def __str__(self) -> str:
        return f"{self.format}, {self.first} – {self.last}"

    @property
    def sent_at_once(self) -> bool:
        """Whether it was sent as it was asked for; no file was kept."""
        return self.state == self.State.DONE and self.expires_at == self.created_at
