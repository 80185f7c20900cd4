"""Files as answers: made whole first, so that what arrives with 200 is never half of one."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import IO

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest
from accounts.models import User
from billing import exports, rows, runs
from billing.runs import SMALL
from billing.selection import Selection

PIECE = 256 * 1024  # bytes sent at once


class TooLarge(InvalidRequest):
    """More records than are sent at once."""

    code = "export_too_large"


def small(
    *, name: str, focus_version: str | None, selection: Selection, user: User, now: datetime
) -> StreamingHttpResponse:
    """An export of at most SMALL records, made now and listed among the runs. Raises InvalidRequest, TooLarge."""
    form = exports.of(name, focus_version=focus_version)
    if not rows.at_most(selection, SMALL):
        raise TooLarge(
            _("These are more than %(most)s records. Have them made in the background, with POST /api/reports/runs/.")
            % {"most": f"{SMALL:,}"},
            limit=SMALL,
        )
    file, written = _made(form, selection)
    try:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        runs.note_sent(
            user=user, selection=selection, form=name, focus_version=focus_version, written=written,
            size=file.seek(0, os.SEEK_END), sha256=sha256, now=now,
        )  # fmt: skip
    except BaseException:
        file.close()
        raise
    return send(file, name=f"{selection.file_stem}{form.SUFFIX}", content_type=form.CONTENT_TYPE)


def made_now(*, form: exports.Format, selection: Selection, stem: str = "") -> StreamingHttpResponse:
    """An export of any size, made before the answer begins."""
    file, _ = _made(form, selection)
    return send(file, name=f"{stem or selection.file_stem}{form.SUFFIX}", content_type=form.CONTENT_TYPE)


def _made(form: exports.Format, selection: Selection) -> tuple[io.BufferedRandom, exports.Written]:
    """A file at its beginning, and what is in it."""
    file = tempfile.TemporaryFile(prefix="chat-export-")  # noqa: SIM115
    try:
        written = form.write(selection=selection, out=file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, written


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
