"""Markdown that is still being written, cut into blocks. Pure.

`BlockCutter` is fed a text in pieces, cut anywhere, and gives each block's text once, as soon as nothing
that follows can change its HTML. All blocks' HTML, joined, is what `render` makes of the whole text.

A cut is made before a line that begins a block whatever follows: after a blank line, at the line's
very beginning, where no list can go on; and around fenced code. Only whether a fence opens at the
top or within a list or a formula cannot be told from one line alone. Then the parser itself is
asked, each time for at least twice the text of the time before, so that the whole stays linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from conversations.rendering import as_text, begins_block, render

_LINE_END = re.compile(r"\r\n|\r(?!\Z)|\n")
_FENCE = re.compile(r"( {0,3})(`{3,})[^`]*\Z|( {0,3})(~{3,})", re.DOTALL)
_LIST = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?:[ \t]|\Z)")
_SPACE = " \t"
_ITEM_STARTS = "-+*0123456789"


SLOW = 2_000  # characters about which asking the parser takes milliseconds
LONGEST = 200_000  # characters of a block that is read as Markdown, for which a parser may need 700 bytes a character


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A finished block's text, from `start` to `end` in characters of the whole. Each begins where the last ended."""

    text: str
    start: int
    end: int

    def render(self) -> Block:
        """The block; takes some 1 to 5 µs a character. One without end is shown as its text."""
        html = render(self.text) if len(self.text) <= LONGEST else as_text(self.text)
        return Block(html=html, start=self.start, end=self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The HTML of a text's part from `start` to `end`; empty where that is blank."""

    html: str
    start: int
    end: int


def render_by_blocks(text: str) -> str:
    """A whole text's HTML, made block by block, so that no more than one is in hand."""
    cutter = BlockCutter()
    return "".join(source.render().html for source in [*cutter.feed(text), *cutter.finish()])


def finished(text: str, *, start: int) -> list[Block]:
    """The finished blocks of a text that goes on; it stands from `start` on, where a block ended or nothing is."""
    return [source.render() for source in BlockCutter(start).feed(text)]


class BlockCutter:
    """Cuts one growing text, or what of it follows a block. `open_text` stands behind the last finished block."""

    def __init__(self, start: int = 0) -> None:
        self._start = start  # where the open segment begins
        self._segment: list[str] = []  # its whole lines, with their ends
        self._size = 0  # and their characters
        self._line: list[str] = []  # pieces of the line that has not ended
        self._begin_segment()

    @property
    def open_text(self) -> str:
        """The text that belongs to no finished block yet; costs its length."""
        return "".join(self._segment) + "".join(self._line)

    @property
    def slow(self) -> bool:
        """Whether the next piece may take milliseconds."""
        return bool(self._unclear) and self._size > SLOW

    def feed(self, text: str) -> list[Source]:
        """Take the next piece; gives the blocks that it finishes, often none."""
        blocks: list[Source] = []
        if self._line and self._line[-1].endswith("\r"):  # a line end, or the first half of one
            text = self._line.pop() + text
        place = 0
        for match in _LINE_END.finditer(text):
            self._line.append(text[place : match.end()])
            place = match.end()
            line = "".join(self._line)
            self._line = []
            self._take(line, blocks)
        if place < len(text):
            self._line.append(text[place:])
            if self._may_cut_early(self._line[0]):
                self._cut(blocks)
        return blocks

    def finish(self) -> list[Source]:
        """The text has ended: the last block, if there is one."""
        if self._line:
            self._segment.append("".join(self._line))
            self._size += len(self._segment[-1])
            self._line = []
        blocks: list[Source] = []
        self._cut(blocks)
        return blocks

    def _begin_segment(self) -> None:
        self._start += self._size
        self._segment, self._size = [], 0
        self._filled = False  # holds more than blank lines
        self._after_blank = True
        self._list = False  # a list may be open
        self._formula = False  # a formula may be, since the last blank line
        self._fence = ""  # the marks that opened a fence at the top
        self._unclear = 0  # not 0: a fence may be open at the top; ask the parser from this size on

    def _cut(self, blocks: list[Source]) -> None:
        """Finish the whole lines of the segment."""
        if self._size:
            text = "".join(self._segment)
            blocks.append(Source(text=text, start=self._start, end=self._start + self._size))
        self._begin_segment()

    def _take(self, line: str, blocks: list[Source]) -> None:
        """A whole line, with its end."""
        text = line.rstrip("\r\n")
        blank = not text.strip(_SPACE)
        if self._fence:
            self._add(line, filled=True)
            if self._closes(text):
                self._cut(blocks)
            return
        if not blank and self._begins_block(text):
            self._cut(blocks)
        fence = None if blank else _FENCE.match(text)
        if fence and not self._unclear:
            indented = bool(fence[1] or fence[3])
            if self._formula or (self._list and indented):
                self._unclear = 1
            else:
                self._cut(blocks)
                self._fence = fence[2] or fence[4]
        self._add(line, filled=not blank)
        self._after_blank = blank
        self._formula = not blank and (self._formula or "$$" in text or "\\[" in text)
        self._list = self._list or bool(not blank and _LIST.match(text))

    def _add(self, line: str, *, filled: bool) -> None:
        self._segment.append(line)
        self._size += len(line)
        self._filled = self._filled or filled

    def _closes(self, text: str) -> bool:
        """Whether a line ends the open fence."""
        marks = text.lstrip(_SPACE)
        indent = len(text[: len(text) - len(marks)].expandtabs(4))
        marks = marks.rstrip(_SPACE)
        return indent < 4 and len(marks) >= len(self._fence) and not marks.strip(self._fence[0]) and bool(marks)

    def _may_cut_early(self, beginning: str) -> bool:
        """Whether the first character of a line that goes on tells already that it begins a block."""
        if not self._filled or not self._after_blank or self._fence or self._unclear:
            return False
        return beginning[0] not in _SPACE + "\r\n" and not (self._list and beginning[0] in _ITEM_STARTS)

    def _begins_block(self, text: str) -> bool:
        """Whether a line begins a block at the top, whatever follows it."""
        if not self._filled or not self._after_blank:
            return False
        indent = len(text) - len(text.lstrip(" "))
        if text[indent] == "\t" or indent > 3:
            return False
        if self._list and (indent > 0 or _LIST.match(text)):
            return False
        if not self._unclear:
            return True
        if self._size < self._unclear:
            return False
        self._unclear = 2 * self._size
        return begins_block("".join([*self._segment, text]), line=len(self._segment))
