"""Server-sent events as a provider streams them: bytes in, each event's data out; pure, one stream at a time."""

from __future__ import annotations

LONGEST = 1024 * 1024  # bytes of an event that has not ended yet
MARK = b"\xef\xbb\xbf"  # of the byte order, which may stand at the beginning


class EventData:
    """Cuts a stream of bytes, however they come, into the data of its events; their other fields say nothing to us."""

    def __init__(self) -> None:
        self._begun = False
        self._rest: list[bytes] = []  # the last line, as far as it has come
        self._lines: list[bytes] = []  # the data of the event that has not ended yet
        self._size = 0  # of both

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in the next piece. Raises ValueError where one does not end."""
        self._rest.append(piece)
        self._size += len(piece)
        found = self._cut() if b"\n" in piece or b"\r" in piece else []
        if self._size > LONGEST:
            raise ValueError("an event that does not end")
        return found

    def finish(self) -> list[bytes]:
        """The data of the events that end with the stream; one that stops in its middle is none."""
        return self.feed(b"\n")

    def _cut(self) -> list[bytes]:
        lines = b"".join(self._rest).splitlines(keepends=True)
        # After a return there may come a line feed, which then belongs to it.
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        if lines and not self._begun:
            self._begun, lines[0] = True, lines[0].removeprefix(MARK)
        found: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._lines.append(line[5:].strip())  # JSON cares for no space around it
            elif line in (b"\n", b"\r\n", b"\r") and self._lines:
                found.append(b"\n".join(self._lines))
                self._lines = []
        self._rest = [rest]
        if found or not self._lines:
            self._size = len(rest) + sum(map(len, self._lines))
        return found
