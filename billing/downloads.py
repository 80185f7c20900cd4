"""Files as answers: made whole first, so that what arrives with 200 is never half of one."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from accounts.errors import InvalidRequest
from billing import rows
from billing.exports import Format
from billing.runs import SMALL
from billing.selection import Selection

PIECE = 256 * 1024  # bytes sent at once


class TooLarge(InvalidRequest):
    """More records than are sent at once."""

    code = "export_too_large"


def small(*, form: Format, selection: Selection, stem: str = "") -> StreamingHttpResponse:
    """An export of at most SMALL records, made now. Raises TooLarge."""
    if not rows.at_most(selection, SMALL):
        raise TooLarge(
            f"These are more than {SMALL:,} records. Have them made in the background, with POST /api/reports/runs/.",
            limit=SMALL,
        )
    return made_now(form=form, selection=selection, stem=stem)


def made_now(*, form: Format, selection: Selection, stem: str = "") -> StreamingHttpResponse:
    """An export of any size, made before the answer begins."""
    file = tempfile.TemporaryFile(prefix="chat-export-")  # noqa: SIM115
    try:
        form.write(selection=selection, out=file)
    except BaseException:
        file.close()
        raise
    return send(file, name=f"{stem or selection.file_stem}{form.SUFFIX}", content_type=form.CONTENT_TYPE)


def send(file: IO[bytes], *, name: str, content_type: str) -> StreamingHttpResponse:
    """A file from its beginning; closed when it has been sent."""
    headers = {
        "Content-Disposition": content_disposition_header(True, name) or "attachment",
        "Content-Length": str(file.seek(0, os.SEEK_END)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Accel-Buffering": "no",
    }
    file.seek(0)
    return StreamingHttpResponse(_pieces(file), content_type=content_type, headers=headers)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        file.close()
