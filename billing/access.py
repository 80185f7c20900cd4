"""Who may read the reports."""

from __future__ import annotations

from typing import Any

from accounts.models import User

FINANCE = "Finance"  # the group


def may_read_reports(user: Any) -> bool:
    """Whether somebody is signed in who is in the group Finance, or a superuser; one query for most."""
    if not isinstance(user, User) or not user.is_active:
        return False
    return user.is_superuser or user.groups.filter(name=FINANCE).exists()
