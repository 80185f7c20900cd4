"""The log in the database: for one machine without Redis."""

from uuid import UUID

from django.db import transaction
from django.db.models import Max

from conversations import models
from conversations.log.delta import Delta, Telling, joined
from conversations.pool import in_database


class DatabaseHome:
    """A row a delta."""

    async def open(self, message_id: UUID, *, telling: Telling | None = None) -> None:
        """The reply's message is its log's beginning; there is nothing to do but to tell of it."""
        if telling is not None:
            await telling.send()

    async def append(self, message_id: UUID, delta: Delta, *, writer: UUID, telling: Telling | None = None) -> bool:
        """Add a delta, unless the lease is another's or the text does not reach to the delta's start."""
        added = await in_database(self._append, message_id, delta, writer)
        if added and telling is not None:
            await telling.send()
        return added

    async def rewrite(self, message_id: UUID, whole: Delta, *, writer: UUID) -> bool:
        """Put one row in the place of all, unless the lease is another's."""
        return await in_database(self._rewrite, message_id, whole, writer)

    async def seal(self, message_id: UUID) -> None:
        """The lease, which has another holder now, is what keeps appends out; there is nothing to do."""

    async def read(self, message_id: UUID, start: int) -> Delta | None:
        """All that follows an offset, as one delta."""
        return await in_database(self._read, message_id, start)

    async def close(self, message_id: UUID) -> None:
        """Delete the rows."""
        await in_database(models.Delta.objects.filter(message_id=message_id).delete)

    @staticmethod
    def _append(message_id: UUID, delta: Delta, writer: UUID) -> bool:
        with transaction.atomic():
            message = _locked(message_id, writer)
            if message is None or (message.deltas.aggregate(end=Max("end"))["end"] or 0) != delta.start:
                return False
            message.deltas.create(start=delta.start, end=delta.end, content=delta.content)
        return True

    @staticmethod
    def _rewrite(message_id: UUID, whole: Delta, writer: UUID) -> bool:
        with transaction.atomic():
            message = _locked(message_id, writer)
            if message is None:
                return False
            message.deltas.all().delete()
            message.deltas.create(start=whole.start, end=whole.end, content=whole.content)
        return True

    @staticmethod
    def _read(message_id: UUID, start: int) -> Delta | None:
        rows = models.Delta.objects.filter(message_id=message_id, end__gt=start).order_by("start")
        return joined([Delta(start=row.start, end=row.end, content=row.content) for row in rows], start)


def _locked(message_id: UUID, writer: UUID) -> models.Message | None:
    """A running reply of a writer's own; the lock keeps out whoever takes the lease over, or ends it, just now."""
    held = models.Message.objects.generating().filter(pk=message_id, lease_owner=writer)
    return held.select_for_update().only("pk").first()
