"""Exports in the background: asked for, claimed by one worker, made, kept for some days.

A worker claims a run by a conditional update, under a lease that it renews; every later write finds the
lease its own, or ends the work. So two workers never make the same, a cancelled run stops at its next
look, and what a crash leaves begins anew once its lease has run out.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User
from billing import exports
from billing.models import ExportRun
from billing.selection import Selection

State = ExportRun.State
Clock = Callable[[], datetime]
LEASE = timedelta(seconds=30)
KEPT = timedelta(days=7)
MOST_ATTEMPTS = 3  # beginnings without an end; then the export itself is what stops the workers
MOST_WAITING = 20  # of one user
SMALL = 50_000  # records that are sent at once, without a run


class Lost(Exception):
    """The run was cancelled, or is another worker's now."""


class TooManyRuns(InvalidRequest):
    """Enough of the user's exports wait already."""

    code, status = "too_many_exports", 409


def folder() -> Path:
    """Where the files are; workers and web processes must see the same one."""
    found = Path(settings.VAR_DIR) / "exports"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def begin(*, user: User, selection: Selection, form: str, now: datetime, focus_version: str | None = None) -> ExportRun:
    """Ask for an export; the caller hands it to a worker after commit. Raises InvalidRequest, TooManyRuns."""
    exports.of(form, focus_version=focus_version)
    unfinished = ExportRun.objects.filter(user=user, state__in=[State.WAITING, State.RUNNING]).count()
    if unfinished >= MOST_WAITING:
        raise TooManyRuns(
            _("%(count)d of your exports are not done yet. Wait for one, or cancel one.") % {"count": unfinished}
        )
    return ExportRun.objects.create(
        user=user,
        format=form,
        focus_version=(focus_version or "") if form.startswith("focus") else "",
        first=selection.first,
        last=selection.last,
        filters=selection.filters,
        created_at=now,
    )


def note_sent(
    *, user: User, selection: Selection, form: str, focus_version: str | None, written: exports.Written, size: int,
    sha256: str, now: datetime,
) -> ExportRun:  # fmt: skip
    """List what is about to be sent at once among the runs: what was given out is known, though no file is kept."""
    return ExportRun.objects.create(
        user=user, format=form, focus_version=(focus_version or "") if form.startswith("focus") else "",
        first=selection.first, last=selection.last, filters=selection.filters, state=State.DONE, created_at=now,
        started_at=now, ended_at=now, done=written.records, of=written.records, rows=written.rows, cost=written.cost,
        size=size, sha256=sha256, expires_at=now,
    )  # fmt: skip


def selection_of(run: ExportRun) -> Selection:
    """What a run is about."""
    return Selection(first=run.first, last=run.last, **run.filters)


def format_of(run: ExportRun) -> exports.Format:
    """The format of a run."""
    return exports.of(run.format, focus_version=run.focus_version or None)


def recent() -> QuerySet[ExportRun]:
    """All runs, newest first, with who asked."""
    return ExportRun.objects.select_related("user").order_by("-id")


def get(run_id: uuid.UUID) -> ExportRun:
    """A run. Raises NotFound."""
    run = recent().filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def _free(now: datetime) -> Q:
    """Runs that nobody makes, or whose worker is gone."""
    return Q(state=State.WAITING) | Q(state=State.RUNNING, lease_expires_at__lt=now)


def claim(*, run_id: uuid.UUID, owner: uuid.UUID, now: datetime) -> ExportRun | None:
    """Take a run, if nobody has it and no other is being made; None otherwise, and where it has ended."""
    try:
        with transaction.atomic():
            claimed = ExportRun.objects.filter(_free(now), pk=run_id).update(
                state=State.RUNNING,
                lease_owner=owner,
                lease_expires_at=now + LEASE,
                started_at=now,
                attempts=F("attempts") + 1,
                done=0,
            )
    except IntegrityError:  # another one is being made
        return None
    return ExportRun.objects.get(pk=run_id) if claimed else None


def hold_on(run: ExportRun, *, now: datetime, **changes: Any) -> None:
    """Renew the lease, and change what else is given. Raises Lost."""
    mine = ExportRun.objects.filter(pk=run.pk, state=State.RUNNING, lease_owner=run.lease_owner)
    if not mine.update(**{"lease_expires_at": now + LEASE, **changes}):
        raise Lost


def fail(run: ExportRun, *, error: str, now: datetime) -> None:
    """End a run without a file. Raises Lost."""
    hold_on(run, now=now, state=State.FAILED, ended_at=now, error=error)


def finish(run: ExportRun, *, written: exports.Written, size: int, sha256: str, file_name: str, now: datetime) -> None:
    """End a run whose file is there. Raises Lost."""
    hold_on(
        run, now=now, state=State.DONE, ended_at=now, done=written.records, of=written.records, rows=written.rows,
        cost=written.cost, size=size, sha256=sha256, file_name=file_name, expires_at=now + KEPT,
    )  # fmt: skip


def cancel(*, run_id: uuid.UUID, now: datetime) -> ExportRun:
    """End a run that is not done; its worker stops at its next look. One that has ended stays so. Raises NotFound."""
    ExportRun.objects.filter(pk=run_id, state__in=[State.WAITING, State.RUNNING]).update(
        state=State.CANCELLED, ended_at=now
    )
    return get(run_id)


def left_lying(*, now: datetime) -> list[uuid.UUID]:
    """Runs that a worker should take up, the oldest first."""
    return list(ExportRun.objects.filter(_free(now)).order_by("id").values_list("pk", flat=True)[:MOST_WAITING])


def open_file(run: ExportRun, *, now: datetime) -> BinaryIO:
    """A done run's file, open: it stays readable while it expires. Raises NotFound where it has, or is not here."""
    gone = _("There is no file any more. Make the export again.")
    if run.state != State.DONE or not run.file_name or run.expires_at is None or run.expires_at <= now:
        raise NotFound(gone)
    try:
        return (folder() / run.file_name).open("rb")
    except FileNotFoundError as error:
        raise NotFound(gone) from error


def tidy(*, now: datetime) -> int:
    """Remove files that have expired, and what crashes left; returns how many."""
    expired = ExportRun.objects.filter(expires_at__lte=now).exclude(file_name="")
    removed = 0
    for run in expired:
        (folder() / run.file_name).unlink(missing_ok=True)
        removed += ExportRun.objects.filter(pk=run.pk).update(file_name="")
    owners = ExportRun.objects.filter(state=State.RUNNING).values_list("lease_owner", flat=True)
    wanted = {f"{owner}" for owner in owners}
    named = set(ExportRun.objects.exclude(file_name="").values_list("file_name", flat=True))
    for path in folder().iterdir():
        if path.name in named or path.name.partition(".")[0] in wanted:
            continue
        with contextlib.suppress(FileNotFoundError):  # another worker is tidying too
            if now.timestamp() - path.stat().st_mtime > LEASE.total_seconds():
                path.unlink()
                removed += 1
    return removed
