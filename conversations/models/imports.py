"""Files that people bring in."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from conversations.models.conversations import new_id


class ImportRun(models.Model):
    """One file that a person brought in: how far it is, and what became of its conversations."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="imports"
    )
    file_name = models.CharField(_("file name"), max_length=255)
    size = models.PositiveBigIntegerField(_("size"), help_text=_("Bytes of the file."))
    state = models.CharField(_("state"), max_length=7, choices=State, default=State.WAITING)
    total = models.PositiveIntegerField(
        _("total"), null=True, help_text=_("Conversations in the file; null until it is checked.")
    )
    done = models.PositiveIntegerField(
        _("done"), default=0, help_text=_("Conversations dealt with: the sum of the next three.")
    )
    added = models.PositiveIntegerField(_("added"), default=0)
    existing = models.PositiveIntegerField(_("existing"), default=0, help_text=_("Were here already."))
    skipped = models.PositiveIntegerField(_("skipped"), default=0, help_text=_("Could not be read."))
    reasons = models.JSONField(
        _("reasons"), default=list, help_text=_("Why some were skipped: title and reason of the first ones.")
    )
    error = models.TextField(
        _("error"), blank=True, help_text=_("Why nothing, or nothing more, of the file was taken.")
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, help_text=_("How often a worker began."))
    created_at = models.DateTimeField(_("created at"))
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    lease_owner = models.UUIDField(_("lease owner"), null=True, help_text=_("The worker that imports it."))
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True)

    class Meta:
        verbose_name = _("import run")
        verbose_name_plural = _("import runs")
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(state__in=("waiting", "running")), name="importrun_one_at_once"
            ),
            models.CheckConstraint(
                name="importrun_running_is_leased",
                condition=Q(state="running", lease_owner__isnull=False, lease_expires_at__isnull=False)
                | ~Q(state="running") & Q(lease_owner=None, lease_expires_at=None),
            ),
            models.CheckConstraint(
                name="importrun_finished_says_when",
                condition=Q(state__in=("done", "failed"), finished_at__isnull=False)
                | ~Q(state__in=("done", "failed")) & Q(finished_at=None),
            ),
            models.CheckConstraint(
                name="importrun_adds_up",
                condition=Q(done=models.F("added") + models.F("existing") + models.F("skipped")),
            ),
        ]
        indexes = [models.Index(fields=["user", "-id"], name="importrun_list")]

    def __str__(self) -> str:
        return str(self.id)


class ImportPart(models.Model):
    """A piece of an uploaded file; web and worker share nothing but the database. Goes when the run ends."""

    run = models.ForeignKey(ImportRun, verbose_name=_("run"), on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField(_("number"))
    content = models.BinaryField(_("content"))

    class Meta:
        verbose_name = _("import part")
        verbose_name_plural = _("import parts")
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="importpart_once")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.number}"
