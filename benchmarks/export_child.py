"""One export in a process of its own: seconds, and by how much its memory grew, as JSON on the standard output."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import date

from tests.memory import Growth


def main() -> None:
    """`python -m benchmarks.export_child FORMAT FROM TO`."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
    django.setup()
    from billing import exports
    from billing.selection import Selection

    form = exports.of(sys.argv[1])
    empty = Selection(first=date(1999, 1, 1), last=date(1999, 1, 1))
    with tempfile.TemporaryFile() as warm:
        form.write(selection=empty, out=warm)  # everything is loaded, the connection is open
    selection = Selection(first=date.fromisoformat(sys.argv[2]), last=date.fromisoformat(sys.argv[3]))
    growth = Growth()
    began = time.monotonic()
    with tempfile.TemporaryFile() as file:
        written = form.write(selection=selection, out=file)
        seconds, size = time.monotonic() - began, file.tell()
    grown = growth.megabytes
    print(
        json.dumps(
            {"seconds": seconds, "grown_mb": grown, "mb": size / 1e6, "rows": written.rows, "cost": written.cost}
        )
    )


if __name__ == "__main__":
    main()
