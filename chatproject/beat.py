"""What beat runs and how often; here, so that beat needs no database table of its own."""

from typing import Any


def _every(seconds: int, task: str) -> dict[str, Any]:
    """A task that is worth nothing any more once the next one is due."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


SCHEDULE = {
    "recover replies": _every(10, "conversations.tasks.recover_replies"),
    "recover titles": _every(60, "conversations.tasks.recover_titles"),
    "purge conversations": _every(60, "conversations.tasks.purge_conversations"),
    "finish deletions": _every(60, "conversations.tasks.finish_deletions"),
    "continue imports": _every(60, "conversations.transfer.continue_imports"),
    "roll up spend": _every(60, "billing.tasks.roll_up_spend"),
    "enforce budgets": _every(60, "billing.tasks.enforce_budgets"),
    "send notices": _every(60, "billing.tasks.send_notices"),
    "take overview": _every(60, "billing.tasks.take_overview"),
    "make exports": _every(20, "billing.tasks.make_exports"),
    "tidy exports": _every(600, "billing.tasks.tidy_exports"),
}
