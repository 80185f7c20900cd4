"""What beat runs."""

from collections.abc import Coroutine
from typing import Any

from asgiref.sync import async_to_sync
from celery import shared_task
from django.utils import timezone

from conversations import leaving, lifecycle, log, recovery, titles
from conversations.transfer.tasks import continue_imports as continue_imports
from conversations.transfer.tasks import import_file as import_file


@shared_task(name="conversations.tasks.recover_replies")
def recover_replies() -> int:
    """End the replies whose process died; how many."""
    return _done(recovery.recover_replies(now=timezone.now()))


@shared_task(name="conversations.tasks.recover_titles")
def recover_titles() -> int:
    """Settle the calls for names whose process died; how many."""
    return titles.recover(now=timezone.now())


@shared_task(name="conversations.tasks.purge_conversations")
def purge_conversations() -> int:
    """Throw away what was deleted, and temporary chats that were left; how many."""
    return lifecycle.purge(now=timezone.now())


@shared_task(name="conversations.tasks.finish_deletions")
def finish_deletions() -> int:
    """Go on with the deletions of accounts that are not finished; how many there are."""
    return _done(leaving.finish(now=timezone.now()))


def _done(work: Coroutine[Any, Any, int]) -> int:
    """What work comes to on an event loop of its own; a worker, which makes one each time, keeps nothing of it."""

    async def do() -> int:
        try:
            return await work
        finally:
            await log.leave()

    return async_to_sync(do)()
