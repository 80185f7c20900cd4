#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import DatabaseError, OperationalError

UNDEFINED = ("42P01", "42703")  # how PostgreSQL calls tables and columns that are not there


def _is_theirs(error: DatabaseError) -> bool:
    """Whether an operator can mend it, so that a sentence is enough."""
    return isinstance(error, OperationalError) or getattr(error.__cause__, "sqlstate", "") in UNDEFINED


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
    try:
        execute_from_command_line(sys.argv)
    except DatabaseError as error:
        if "--traceback" in sys.argv or not _is_theirs(error):
            raise
        first = str(error).partition("\n")[0]  # PostgreSQL shows the place in the statement below it
        sys.exit(f"The database does not answer, or lacks what `manage.py migrate` makes: {first}".strip())
    except KeyboardInterrupt:
        sys.exit(130)
