"""Importing a file that was received: read to its end first, so that a broken one changes nothing; then stored."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import language
from conversations.models import ImportPart, ImportRun
from conversations.transfer import reading, runs, writing
from conversations.transfer.parts import parts
from conversations.transfer.reading import Skipped
from conversations.transfer.runs import Lost
from conversations.transfer.tree import Tree
from conversations.transfer.upload import Unreadable

Clock = Callable[[], datetime]

SHARE = 10.0  # seconds that a worker stores before it lets others have a turn
RENEW = 10.0  # seconds between two renewals of the lease
MOST_ROWS = 500  # of one transaction, or one conversation
MOST_CHARACTERS = 2_000_000  # of one transaction, or one conversation
MOST_REASONS = 50  # kept of the conversations that were skipped


def work(
    *, run_id: uuid.UUID | str, clock: Clock, share: float = SHARE, left: uuid.UUID | str | None = None
) -> uuid.UUID | None:
    """Import a run's file, or go on with it where it was `left`; where there is more to do, the name for the next turn.

    Does nothing where another worker has the run, or it has ended. What was done stays done.
    """
    run = runs.claim(run_id=run_id, owner=uuid.uuid4(), now=clock(), left=left)
    if run is None:
        return None
    with language.speaking_to(run.user):  # who alone will read what is said of it
        try:
            return _work(run, clock, share)
        except Unreadable as unreadable:
            with suppress(Lost):
                runs.end(run, now=clock(), error=str(unreadable))
        except Lost:
            pass
    return None


def _work(run: ImportRun, clock: Clock, share: float) -> uuid.UUID | None:
    if run.attempts > runs.MOST_ATTEMPTS:
        raise Unreadable(_("The import was begun several times and came to no end. Nothing more is tried."))
    with _file(run) as path:
        if run.total is None:
            _check(run, path, clock)
        if not _store(run, path, clock, share):
            return runs.let_go(run, now=clock())
    runs.end(run, now=clock())
    return None


@contextmanager
def _file(run: ImportRun) -> Iterator[Path]:
    """The file, laid on this machine's disk."""
    with tempfile.NamedTemporaryFile(prefix="import-") as file:
        numbers = ImportPart.objects.filter(run=run).order_by("number").values_list("number", flat=True)
        for number in list(numbers):
            file.write(ImportPart.objects.get(run=run, number=number).content)
        file.flush()
        yield Path(file.name)


class _Pulse:
    """Renews a run's lease when it is time."""

    def __init__(self, run: ImportRun, clock: Clock) -> None:
        self._run, self._clock = run, clock
        self._renewed = time.monotonic()

    def beat(self) -> None:
        """Renew it, unless that was done just now. Raises Lost."""
        if time.monotonic() - self._renewed > RENEW:
            runs.hold_on(self._run, now=self._clock())
            self._renewed = time.monotonic()


def _check(run: ImportRun, path: Path, clock: Clock) -> None:
    """Read the file to its end and note how much there is. Raises Unreadable, Lost."""
    pulse, total = _Pulse(run, clock), 0
    for seen in reading.check(path, now=run.created_at):
        total = seen
        pulse.beat()
    runs.hold_on(run, now=clock(), total=total)


def _store(run: ImportRun, path: Path, clock: Clock, share: float) -> bool:
    """Store what is not stored yet; False where the time was up before the end. Raises Unreadable, Lost."""
    pulse, began = _Pulse(run, clock), time.monotonic()
    items = reading.items(path)
    for _item in islice(items, run.done):
        pulse.beat()
    # As long as it took to come there, at least: else a large file's turns would soon do little but that.
    until = time.monotonic() + max(share, time.monotonic() - began)
    found = (reading.read(item, now=run.created_at) for item in items)
    for batch in parts(found, weigh=_weight, rows=MOST_ROWS, characters=MOST_CHARACTERS):
        prepared = [writing.rows(item, user=run.user, beat=pulse.beat) for item in batch if isinstance(item, Tree)]
        skipped = [item for item in batch if isinstance(item, Skipped)]
        _commit(run, prepared, skipped, now=clock())
        if time.monotonic() > until and run.total is not None and run.done < run.total:
            return False
    return True


def _commit(run: ImportRun, prepared: list[writing.Rows], skipped: list[Skipped], *, now: datetime) -> None:
    """One transaction: these conversations are stored and counted, or neither."""
    with transaction.atomic():
        runs.hold_on(run, now=now)  # locks the run, so that whoever else claims it waits
        added = writing.store(prepared, user=run.user)
        reasons = [{"title": item.title, "reason": item.reason} for item in skipped]
        changes = {
            "done": run.done + len(prepared) + len(skipped),
            "added": run.added + added,
            "existing": run.existing + len(prepared) - added,
            "skipped": run.skipped + len(skipped),
            "reasons": [*run.reasons, *reasons][:MOST_REASONS],
        }
        ImportRun.objects.filter(pk=run.pk).update(**changes)
    for name, value in changes.items():
        setattr(run, name, value)


def _weight(item: Tree | Skipped) -> tuple[int, int]:
    return (1 + len(item.entries), item.characters) if isinstance(item, Tree) else (1, 0)
