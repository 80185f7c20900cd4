"""Files that people bring in: received whole, then worked on by whoever claims them.

The file waits in the database, since web and worker share nothing else. A worker claims a run by a
conditional update, under a lease; every write it makes is in one transaction with an update that
still finds the lease its own. So two workers never write the same, and what a crash leaves is
exactly as far as `done` says.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.errors import BodyTooLarge, InvalidRequest, NotFound, Refusal
from accounts.models import User
from conversations.events import instant
from conversations.models import ImportPart, ImportRun
from conversations.transfer import values
from conversations.transfer.upload import LARGEST_UPLOAD

PART = 1_048_576  # bytes of one row
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 5  # beginnings without an end; then the file is what stops the workers
State = ImportRun.State


class ImportInProgress(Refusal):
    """The user's last file is still being imported."""

    code, status = "import_in_progress", 409


class Lost(Exception):
    """Another worker has the run now."""


def receive(*, user: User, name: str, chunks: Iterable[bytes], size: int, now: datetime) -> ImportRun:
    """Store a file of `size` bytes for a worker. Raises InvalidRequest, BodyTooLarge, ImportInProgress."""
    if not size:
        raise InvalidRequest(_("The file is empty."), fields={"file": [_("It is empty.")]})
    if size > LARGEST_UPLOAD:
        raise BodyTooLarge(
            _("At most %(limit)s bytes can be imported at once.") % {"limit": f"{LARGEST_UPLOAD:,}"},
            limit=LARGEST_UPLOAD,
        )
    file_name = values.text(name)[-255:] or "file"
    with transaction.atomic():
        try:
            with transaction.atomic():
                run = ImportRun.objects.create(user=user, file_name=file_name, size=size, created_at=now)
        except IntegrityError:
            raise ImportInProgress(_("Your last file is still being imported. Wait until it is done.")) from None
        for number, part in enumerate(_parts(chunks)):
            ImportPart.objects.create(run=run, number=number, content=part)
    return run


def _parts(chunks: Iterable[bytes]) -> Iterable[bytes]:
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= PART:
            yield bytes(waiting[:PART])
            del waiting[:PART]
    if waiting:
        yield bytes(waiting)


def own_run(user: User, run_id: uuid.UUID) -> ImportRun:
    """A run of the user's own; NotFound for any other."""
    run = ImportRun.objects.filter(user=user, pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def own_runs(user: User) -> QuerySet[ImportRun]:
    """The user's runs, newest first."""
    return ImportRun.objects.filter(user=user).order_by("-id")


def _free(now: datetime) -> Q:
    """Runs that nobody works on, or whose worker is gone."""
    return Q(state=State.WAITING) | Q(state=State.RUNNING, lease_expires_at__lt=now)


def left_lying(*, now: datetime) -> list[uuid.UUID]:
    """Runs that a worker should take up, the oldest first."""
    waits = Q(state=State.WAITING, created_at__lt=now - LEASE)
    return list(
        ImportRun.objects.filter(_free(now), waits | Q(state=State.RUNNING)).order_by("id").values_list("pk", flat=True)
    )


def claim(
    *, run_id: uuid.UUID | str, owner: uuid.UUID, now: datetime, left: uuid.UUID | str | None = None
) -> ImportRun | None:
    """Take a run, if nobody has it, or it was left under that name; None where somebody has it, or it has ended."""
    may = _free(now)
    if left is not None:
        may |= Q(state=State.RUNNING, lease_owner=left)
    claimed = ImportRun.objects.filter(may, pk=run_id).update(
        state=State.RUNNING, lease_owner=owner, lease_expires_at=now + LEASE, attempts=F("attempts") + 1
    )
    if not claimed:
        return None
    ImportRun.objects.filter(pk=run_id, started_at=None).update(started_at=now)
    return ImportRun.objects.select_related("user").get(pk=run_id)


def hold_on(run: ImportRun, *, now: datetime, **changes: Any) -> None:
    """Renew the lease, and change what else is given. Raises Lost where it is another's."""
    mine = ImportRun.objects.filter(pk=run.pk, state=State.RUNNING, lease_owner=run.lease_owner)
    if not mine.update(lease_expires_at=now + LEASE, **changes):
        raise Lost
    for name, value in changes.items():
        setattr(run, name, value)


def let_go(run: ImportRun, *, now: datetime) -> uuid.UUID:
    """Leave the rest to the next worker, for this one did its share; the name under which it is left.

    Whoever knows the name may take it at once, everyone else once the lease is over: or beat, which can't see that the
    next turn is on its way, would send one more at each of its looks. Raises Lost.
    """
    left = uuid.uuid4()
    hold_on(run, now=now, lease_owner=left, attempts=0)
    return left


def end(run: ImportRun, *, now: datetime, error: str = "") -> None:
    """The run has ended, well or with a sentence that says why not; its file goes. Raises Lost."""
    with transaction.atomic():
        hold_on(run, now=now)
        state = State.FAILED if error else State.DONE
        ImportRun.objects.filter(pk=run.pk).update(
            state=state, error=error, finished_at=now, lease_owner=None, lease_expires_at=None
        )
        ImportPart.objects.filter(run=run).delete()


def as_json(run: ImportRun) -> dict[str, Any]:
    """The API's import."""
    return {
        "id": str(run.pk),
        "file_name": run.file_name,
        "size": run.size,
        "state": run.state,
        "total": run.total,
        "done": run.done,
        "added": run.added,
        "existing": run.existing,
        "skipped": run.skipped,
        "reasons": run.reasons,
        "error": run.error or None,
        "created_at": instant(run.created_at),
        "started_at": instant(run.started_at) if run.started_at else None,
        "finished_at": instant(run.finished_at) if run.finished_at else None,
    }
