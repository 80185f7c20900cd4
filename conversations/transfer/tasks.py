"""What a worker does about imports. One turn is short, so that a worker alone gets to everything else too."""

from celery import shared_task
from django.utils import timezone

from conversations.transfer import runs
from conversations.transfer.work import work


@shared_task(name="conversations.transfer.import_file")
def import_file(run_id: str, left: str | None = None) -> None:
    """Import a file, or go on with one that was left under a name; what remains after this turn is another task."""
    again = work(run_id=run_id, clock=timezone.now, left=left)
    if again is not None:
        import_file.delay(run_id, str(again))


@shared_task(name="conversations.transfer.continue_imports")
def continue_imports() -> None:
    """Take up the files whose worker is gone, or never came."""
    for run_id in runs.left_lying(now=timezone.now()):
        import_file.delay(str(run_id))
