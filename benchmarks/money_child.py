"""One piece of work on the books in a process of its own: seconds and growth of memory, as JSON.

`python -m benchmarks.money_child audit | roll_up | rebuild FROM TO`, with a DATABASE_URL that has the books.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from deploy.processes import ROOT
from tests.memory import Growth


def run(database: str, env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Have it done; returns what it printed."""
    command = [sys.executable, "-m", "benchmarks.money_child", *arguments]
    environment = {**os.environ, **env, "DATABASE_URL": database}
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Do it and print the figures."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
    django.setup()
    from django.db import connection

    works: dict[str, Callable[..., Any]] = {"audit": audit, "roll_up": roll_up, "rebuild": rebuild}
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    growth = Growth()
    began = time.monotonic()
    found = works[sys.argv[1]](*sys.argv[2:])
    seconds = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "grown_mb": growth.megabytes, "found": found}))


def audit() -> Any:
    """The first differences, of which there must be none, and what was counted."""
    from billing import audit as ledger_audit

    checked = ledger_audit.Audit()
    return {"differences": list(checked.differences())[:5], "counts": checked.counts}


def roll_up() -> int:
    """Daily spend of what waits."""
    from billing import rollup

    return rollup.roll_up()


def rebuild(first: str, last: str) -> int:
    """Daily spend of some days, anew."""
    from billing import rollup

    return rollup.rebuild(first=date.fromisoformat(first), last=date.fromisoformat(last))


if __name__ == "__main__":
    main()
