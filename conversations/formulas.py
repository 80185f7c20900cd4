r"""Formulas in Markdown: where they are, and as MathML. Pure.

Read are `$…$` and `\(…\)` within a line, `$$…$$` and `\[…\]` on display. A dollar sign that stands for money
stays text: an opening one has no space after it and no letter or digit before it, a closing one no
space before it and no digit after it, and what begins with a figure must look like more than a sum.
Every search for an end is bounded, so that hostile text costs no more than its length.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element  # only built and read here, never parsed

from django.utils.translation import gettext as _
from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

LONGEST = 2000  # characters; a longer one is shown as its source
MOST_LINES = 60
DEEPEST = 30  # nested braces and \left; the converter calls itself for each
MOST_SIDESETS = 3  # of one formula
PER_TEXT = 300  # formulas of one paragraph or cell that are converted; the others are shown as their source
TAGS = frozenset({
    "math", "menclose", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom", "mprescripts",
    "mroot", "mrow", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder",
    "munderover",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "accent", "columnalign", "columnlines", "columnspacing", "depth", "display", "displaystyle", "fence", "form",
    "height", "linethickness", "lspace", "mathvariant", "maxsize", "minsize", "movablelimits", "notation", "rowlines",
    "rowspacing", "rspace", "scriptlevel", "separator", "stretchy", "symmetric", "voffset", "width",
})  # fmt: skip

_CLOSERS = {"$$": "$$", "\\[": "\\]", "\\(": "\\)", "$": "$"}
_VALUE = re.compile(r"[a-z -]{1,30}|-?\d{0,2}(?:\.\d{1,4})?(?:em|ex|px|pt|mu|%)?")  # words, and lengths that stay small
_ENDINGS = re.compile(r"(?:st|nd|rd|th|s)\b")  # the $n$th
_SUM = re.compile(r"\d[\d.,]*\s")
_SIGNS = re.compile(r"[\\^_=+<>{}*/|-]")
_DEFINES = re.compile(r"\\(?:def|newcommand|newenvironment)(?![a-zA-Z])")
_LOGO = re.compile(r"\\(La)?TeX(?![a-zA-Z])")  # set as print does, it would be forty times as long as it is written
_NESTS = re.compile(r"\\(?:left|right|begin|end)(?![a-zA-Z])|\\.|[{}^_]", re.DOTALL)


def formulas_plugin(parser: MarkdownIt) -> None:
    """Teach a Markdown parser to read formulas; they become the tokens `math_inline` and `math_block`."""
    parser.inline.ruler.before("escape", "math_inline", _inline)
    parser.block.ruler.before("fence", "math_block", _block)
    parser.core.ruler.push("math_count", _count)
    parser.add_render_rule("math_inline", _of_inline)
    parser.add_render_rule("math_block", _of_block)


@lru_cache(maxsize=2048)
def to_mathml(source: str, *, display: bool) -> str:
    """A formula as MathML; as its source, marked as code, where it cannot be read."""
    if len(source) > LONGEST or _multiplies(source) or _depth(source) > DEEPEST:
        return _as_source(source)
    try:
        plain = _LOGO.sub(r"{\\text{\1TeX}}", source)
        made = _serialized(convert_to_element(plain, display="block" if display else "inline"))
    except Exception:  # the converter raises what it happens on, from its own errors to IndexError
        return _as_source(source)
    return made.replace("<math", '<math dir="ltr"', 1)


def _serialized(element: Element) -> str:
    """Known tags and attributes only. The converter's own serializer lets `<` in a formula through as markup."""
    inner = escapeHtml(html.unescape(element.text or "")) + "".join(map(_serialized, element))
    inner += escapeHtml(html.unescape(element.tail or ""))
    if element.tag not in TAGS:
        return inner
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if name in ATTRIBUTES and _VALUE.fullmatch(value) and (name, value) != ("display", "inline")
    )
    return f"<{element.tag}{attributes}>{inner}</{element.tag}>"


def _as_source(source: str) -> str:
    return f'<code dir="ltr">{escapeHtml(source)}</code>'


def _multiplies(source: str) -> bool:
    """Whether it may become far more than its length: by definitions that use others, or by signs at its sides."""
    return _DEFINES.search(source) is not None or source.count("\\sideset") > MOST_SIDESETS


def _depth(source: str) -> int:
    depth = deepest = 0
    for mark in _NESTS.findall(source):
        if mark in ("{", "\\left", "\\begin"):
            depth += 1
        elif mark in ("}", "\\right", "\\end"):
            depth -= 1
        deepest = max(deepest, depth)
    return deepest


def _inline(state: StateInline, silent: bool) -> bool:
    opener = state.src[state.pos : state.pos + 2]
    if opener not in _CLOSERS:
        opener = opener[:1]
        if opener != "$":
            return False
    start = state.pos + len(opener)
    end = _money_aware_end(state, start) if opener == "$" else _end(state.src, _CLOSERS[opener], start, state.posMax)
    if end is None or not state.src[start:end].strip():
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = state.src[start:end].strip()
        token.markup = opener
    state.pos = end + len(opener)
    return True


def _count(state: StateCore) -> None:
    """Number the formulas of each paragraph."""
    for token in state.tokens:
        formulas = (child for child in token.children or () if child.type == "math_inline")
        for number, child in enumerate(formulas):
            child.meta["number"] = number


def _end(text: str, closer: str, start: int, limit: int) -> int | None:
    limit = min(limit, start + LONGEST + len(closer))
    place = text.find(closer, start, limit)
    while place != -1:
        before = place
        while before > start and text[before - 1] == "\\":
            before -= 1
        if (place - before) % 2 == 0:
            return place
        place = text.find(closer, place + 1, limit)
    return None


def _money_aware_end(state: StateInline, start: int) -> int | None:
    text = state.src
    if start >= state.posMax or text[start].isspace() or text[start] == "$":
        return None
    if start > 1 and text[start - 2].isalnum():
        return None
    end = _end(text, "$", start, state.posMax)
    if end is None or text[end - 1].isspace():
        return None
    after = text[end + 1 : end + 2]
    if after == "$" or (after.isalnum() and not _ENDINGS.match(text, end + 1)):
        return None
    content = text[start:end]
    if _SUM.match(content) and not _SIGNS.search(content):
        return None
    return end


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A formula that has its lines to itself; no blank line is within it."""
    if state.is_code_block(first):
        return False
    start = state.bMarks[first] + state.tShift[first]
    opener = state.src[start : start + 2]
    if opener not in ("$$", "\\["):
        return False
    lines: list[str] = []
    for line in range(first, min(last, first + MOST_LINES)):
        begin = start + 2 if line == first else state.bMarks[line] + state.tShift[line]
        if line > first and (state.isEmpty(line) or state.sCount[line] < state.blkIndent):
            return False
        text = state.src[begin : state.eMarks[line]]
        end = _end(text, _CLOSERS[opener], 0, len(text))
        lines.append(text if end is None else text[:end])
        if end is None:
            continue
        source = "\n".join(lines).strip()
        if text[end + 2 :].strip() or not source:
            return False
        if not silent:
            token = state.push("math_block", "math", 0)
            token.block = True
            token.content, token.markup, token.map = source, opener, [first, line + 1]
        state.line = line + 1
        return True
    return False


def _of_inline(renderer: Any, tokens: Sequence[Token], index: int, *rest: Any) -> str:
    token = tokens[index]
    if token.meta["number"] >= PER_TEXT:
        return _as_source(token.content)
    return to_mathml(token.content, display=token.markup in ("$$", "\\["))


def _of_block(renderer: Any, tokens: Sequence[Token], index: int, *rest: Any) -> str:
    source = tokens[index].content
    label = _("Formula: %(source)s") % {"source": escapeHtml(" ".join(source.split())[:60])}
    return (
        f'<div class="math" tabindex="0" role="region" aria-label="{label}">{to_mathml(source, display=True)}</div>\n'
    )
