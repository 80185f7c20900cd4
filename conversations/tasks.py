"""What beat runs."""

from asgiref.sync import async_to_sync
from celery import shared_task
from django.utils import timezone

from conversations import recovery


@shared_task(name="conversations.tasks.recover_replies")
def recover_replies() -> int:
    """End the replies whose process died; how many."""
    return async_to_sync(recovery.recover_replies)(now=timezone.now())
