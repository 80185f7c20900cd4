"""A reply's HTML as it is written: each block is rendered once, for the page and for the database alike."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from conversations.blocks import Block, BlockCutter, Source, render_by_blocks
from conversations.models import Message
from conversations.pool import in_thread

STEP = 200  # messages read at once
AT_ONCE = 800  # characters; what takes a millisecond or two costs more in a thread than on the event loop


class Rendered:
    """One reply's text, fed as it comes."""

    def __init__(self) -> None:
        self._cutter = BlockCutter()
        self._end = 0  # of what was fed
        self._made = 0  # the end of the last block
        self._html: list[str] = []

    async def cut(self, text: str) -> list[Source]:
        """Take the next piece; the blocks that it finishes, to be rendered in order."""
        self._end += len(text)
        return await in_thread(self._cutter.feed, text) if self._cutter.slow else self._cutter.feed(text)

    async def render(self, sources: Sequence[Source]) -> list[Block]:
        """The blocks; in a thread where they are `slow`."""
        blocks = await in_thread(_render, sources) if slow(sources) else _render(sources)
        self._html += [block.html for block in blocks]
        self._made = blocks[-1].end if blocks else self._made
        return blocks

    async def whole(self, *, length: int) -> str | None:
        """All its HTML, now that it has ended; None where not all of it was fed and rendered."""
        if self._end != length:
            return None
        await self.render(self._cutter.finish())
        return "".join(self._html) if self._made == length else None


def slow(sources: Sequence[Source]) -> bool:
    """Whether rendering would hold up everything else."""
    return sum(len(source.text) for source in sources) > AT_ONCE


def render_anew() -> tuple[int, int]:
    """Render all stored answers as the renderer does today; how many there are, and how many were not so yet.

    Safe to repeat, and beside a running site: what is deleted or ended meanwhile is left alone.
    """
    seen = changed = 0
    stored = Message.objects.filter(role=Message.Role.ASSISTANT).exclude(html="").only("pk", "content", "html")
    last = UUID(int=0)
    # Each step is read to its end: on SQLite whoever is still reading can't write what others have written to since.
    while step := list(stored.filter(pk__gt=last).order_by("pk")[:STEP]):
        for message in step:
            html = render_by_blocks(message.content)
            if html != message.html:
                changed += Message.objects.filter(pk=message.pk, html=message.html).update(html=html)
        seen, last = seen + len(step), step[-1].pk
    return seen, changed


def _render(sources: Sequence[Source]) -> list[Block]:
    return [source.render() for source in sources]
