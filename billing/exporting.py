"""A worker at work on an export: it writes, while a thread beside it says how far it is and keeps the lease."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import uuid
from types import TracebackType
from typing import Self

from django.db import DatabaseError, InterfaceError, connection
from django.utils.translation import gettext_noop

from billing import rows, runs
from billing.exports import Written
from billing.models import ExportRun

logger = logging.getLogger(__name__)

THREAD = "exports"
_starting = threading.Lock()
BEAT_SECONDS = 0.5  # between two words about how far it is


class Pulse:
    """Tells the database how far a run is, from a connection of its own: the writer's sees one instant only."""

    def __init__(self, run: ExportRun, clock: runs.Clock) -> None:
        self._run, self._clock = run, clock
        self._done, self._lost = 0, False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"export {run.pk}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None and self._lost:
            raise runs.Lost

    def watch(self, done: int) -> None:
        """Take note of how many records are written. Raises Lost."""
        self._done = done
        if self._lost:
            raise runs.Lost

    def _beat(self) -> None:
        try:
            while not self._ended.wait(BEAT_SECONDS):
                try:
                    runs.hold_on(self._run, now=self._clock(), done=self._done)
                except runs.Lost:
                    self._lost = True
                    return
                except (DatabaseError, InterfaceError) as error:  # the lease bears some of these
                    logger.warning("the progress of export %s was not written: %s", self._run.pk, type(error).__name__)
                    connection.close()
        finally:
            connection.close()


def start(*, clock: runs.Clock) -> None:
    """Make the exports that wait, one after the other, in a thread: a worker alone gets to everything else too.

    A process has one such thread at most. It does not keep the process from ending; what it had begun is
    then taken up once its lease has run out.
    """
    with _starting:
        if not any(thread.name == THREAD for thread in threading.enumerate()):
            threading.Thread(target=_work, args=(clock,), name=THREAD, daemon=True).start()


def _work(clock: runs.Clock) -> None:
    try:
        while any(make(run_id=run_id, clock=clock) for run_id in runs.left_lying(now=clock())):
            pass
    finally:
        connection.close()


# Kept as they stand here, and translated where they are shown.
NEVER_DONE = gettext_noop("Every attempt ended before it was done. Ask for fewer days at once.")
FAILED = gettext_noop("It could not be made. The administrator finds the reason in the log.")


def make(*, run_id: uuid.UUID, clock: runs.Clock) -> bool:
    """Make an export, if it can be claimed; returns whether this worker had it, however it ended."""
    owner = uuid.uuid4()
    run = runs.claim(run_id=run_id, owner=owner, now=clock())
    if run is None:
        return False
    try:
        if run.attempts > runs.MOST_ATTEMPTS:
            runs.fail(run, error=NEVER_DONE, now=clock())
        else:
            _make(run, owner, clock)
    except runs.Lost:
        logger.info("export %s was cancelled, or is made elsewhere", run.pk)
    except (DatabaseError, InterfaceError):
        raise  # nothing can be written down now; the lease runs out, and somebody begins anew
    except Exception:
        logger.exception("export %s failed", run.pk)
        try:
            runs.fail(run, error=FAILED, now=clock())
        except runs.Lost:
            logger.info("export %s had been cancelled", run.pk)
    return True


def _make(run: ExportRun, owner: uuid.UUID, clock: runs.Clock) -> None:
    form, selection = runs.format_of(run), runs.selection_of(run)
    path = runs.folder() / f"{owner}{form.SUFFIX}"
    runs.hold_on(run, now=clock(), of=rows.add_up(selection).records)
    try:
        with path.open("w+b") as file:
            with Pulse(run, clock) as pulse:
                written: Written = form.write(selection=selection, out=file, watch=pulse.watch)
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = path.stat().st_size
        runs.finish(run, written=written, size=size, sha256=sha256, file_name=path.name, now=clock())
    except (DatabaseError, InterfaceError):
        raise  # the answer may be lost of what is written down: that the file is there. Where it is not, it is tidied
    except BaseException:
        path.unlink(missing_ok=True)
        raise
