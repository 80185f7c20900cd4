"""An uploaded file, opened: a ZIP with JSON in it, or JSON itself. Nothing is unpacked to disk.

What a file claims of its own size is not believed: what comes out of it is counted.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO

from django.utils.translation import gettext as _

LARGEST_UPLOAD = 104_857_600  # bytes
SMALL = 524_288  # bytes of JSON that are imported while their sender waits
LARGEST_JSON = 1_073_741_824  # bytes, of all JSON in a file together
LARGEST_DIRECTORY = 8_388_608  # bytes of a ZIP's table of contents, which is read as a whole
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks others a thousandfold before it gives any
_BOM = b"\xef\xbb\xbf"
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # also where it is packed in a way that zipfile does not know
    OSError,
    ValueError,
)


class Unreadable(Exception):
    """A file of which nothing can be taken; its sentence says why."""


class Bounded:
    """A binary stream that counts what is read, skips a byte order mark, and names every damage Unreadable."""

    def __init__(self, stream: IO[bytes], *, left: int) -> None:
        self._stream = stream
        self._at_start = True
        self.left = left

    def read(self, size: int = -1) -> bytes:
        """As a stream's. Raises Unreadable."""
        try:
            data = self._stream.read(size if size >= 0 else self.left + 1)
        except _DAMAGE:
            raise Unreadable(_("The file is damaged: it cannot be unpacked. Download it again.")) from None
        self.left -= len(data)
        if self.left < 0:
            raise Unreadable(
                _("The file unpacks to more than %(limit)s bytes, which is the limit.") % {"limit": f"{LARGEST_JSON:,}"}
            )
        if self._at_start and data and size:
            self._at_start = False
            if data.startswith(_BOM):
                return data[3:] or self.read(size)
        return data


def streams(path: Path) -> Iterator[Bounded]:
    """Every JSON text in a file that may hold conversations. Raises Unreadable."""
    with path.open("rb") as file:
        if not _zipped(file):
            yield Bounded(file, left=LARGEST_JSON)
            return
        left = LARGEST_JSON
        with closing(_opened(file)) as archive:
            for member in _members(archive):
                try:
                    stream = archive.open(member)
                except _DAMAGE:
                    raise Unreadable(_("The ZIP is damaged: it cannot be opened. Download it again.")) from None
                with stream:
                    bounded = Bounded(stream, left=left)
                    yield bounded
                    left = bounded.left


def is_small(file: IO[bytes], *, size: int) -> bool:
    """Whether a file of `size` bytes is soon imported. Raises Unreadable where it is a ZIP that cannot be one of ours.

    No more than it says comes out of a ZIP, so here its word is good.
    """
    if not _zipped(file):
        return size <= SMALL
    with closing(_opened(file)) as archive:
        return sum(member.file_size for member in _members(archive)) <= SMALL


def _zipped(file: IO[bytes]) -> bool:
    beginning = file.read(4)
    file.seek(0)
    return beginning in (b"PK\x03\x04", b"PK\x05\x06")


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = sorted(filter(_wanted, archive.infolist()), key=lambda member: member.filename)
    if not members:
        raise Unreadable(_("The ZIP holds no conversations: there is no conversations.json in it."))
    if any(member.flag_bits & 1 for member in members):
        raise Unreadable(_("The ZIP is locked by a password. Unlock it first."))
    if any(member.compress_type not in PACKINGS for member in members):
        raise Unreadable(_("The ZIP is packed in an unusual way. Send its conversations.json alone."))
    return members


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # what ZipFile itself is about to believe
        if end is not None and end[5] > LARGEST_DIRECTORY:
            raise Unreadable(_("The ZIP lists too many files. Send its conversations.json alone."))
        return zipfile.ZipFile(file)
    except _DAMAGE:
        raise Unreadable(_("The ZIP is damaged: it cannot be opened. Download it again.")) from None


def _wanted(member: zipfile.ZipInfo) -> bool:
    """ChatGPT's `conversations.json` and its shards, and the files of our own archive."""
    path = PurePosixPath(member.filename)
    if member.filename.endswith("/") or path.suffix.lower() != ".json" or path.name.startswith("."):
        return False
    return path.name.lower().startswith("conversations") or path.parent.name == "conversations"
