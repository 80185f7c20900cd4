"""Markdown → safe HTML. Pure: no settings, no database, no clock; the one renderer of pages, API and exports.

The parser never lets HTML of the text through; nh3 then keeps only what this module itself writes,
so that a fault in one of the two does not open the page.

Read is CommonMark with tables, strikethrough, bare addresses and formulas, but without reference
definitions (`[name]: address`, footnotes): what follows would change what stands above, which
may be on the page already (`blocks`). Their lines stay as text, the address in them a link.

Text runs in the direction of its own first letter: a paragraph's by the stylesheet (`unicode-bidi: plaintext`),
and what has marks or columns at a side, a list, a quotation or a table, by a `dir` of its own. Code and
formulas run from left to right, and say so, since their letters tell nothing of the text around them.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import nh3
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from conversations import formulas
from conversations.colouring import coloured

FIRST_LINES = 64  # of a table
SPARE_CELLS = 100  # of a table, beyond as many as it has characters
NAME_LIMIT = 60  # characters of a code block's or table's own words in its accessible name
FIRST_HEADING = 3  # the page has an h1, each message an h2
SIDED = ("blockquote_open", "bullet_list_open", "ordered_list_open", "table_open")
SCHEMES = ("http://", "https://", "mailto:")
_ADDRESS = re.compile(r"(?<![\w/])https?://[^\s<>\"`]{1,2000}")

_CLEANER = nh3.Cleaner(
    tags={
        "a", "blockquote", "br", "code", "del", "div", "em", "figcaption", "figure", "h3", "h4", "h5", "h6", "hr",
        "li", "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
        *formulas.TAGS,
    },
    attributes={
        "a": {"href", "title"}, "div": {"aria-label"}, "ol": {"start"}, "pre": {"aria-label"},
        **{tag: set(formulas.ATTRIBUTES) for tag in formulas.TAGS},
    },
    tag_attribute_values={
        **{tag: {"dir": {"auto"}} for tag in ("blockquote", "ol", "table", "ul")},
        **{tag: {"dir": {"ltr"}} for tag in ("code", "math")},
        "div": {"tabindex": {"0"}, "role": {"region"}},
        "pre": {"dir": {"ltr"}, "tabindex": {"0"}, "role": {"region"}},
        "th": {"scope": {"col"}},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    allowed_classes={
        "a": {"bare"}, "div": {"math", "scroll"}, "figure": {"code"}, "span": {"c", "k", "m", "s"},
        "td": {"n"}, "th": {"n"},
    },
    link_rel="noopener noreferrer nofollow",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)  # fmt: skip


def render(text: str) -> str:
    """A message's Markdown as HTML that is safe to put on a page; headings start at h3."""
    return _CLEANER.clean(_parser().render(text))


def as_text(text: str) -> str:
    """A text as it is written, in a box like code's, where rendering it would take too much."""
    return _code(Token("fence", "code", 0, content=text))


def begins_block(text: str, *, line: int) -> bool:
    """Whether a block begins at a line, counted from 0, that lies within no other block. Renders nothing."""
    parser = _parser()
    tokens: list[Token] = []
    parser.block.parse(text.replace("\r\n", "\n").replace("\r", "\n"), parser, {}, tokens)
    return any(token.level == 0 and token.map is not None and token.map[0] == line for token in reversed(tokens))


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("reference")
    parser.block.ruler.at("table", _table_rule, {"alt": ["paragraph", "reference"]})
    parser.use(formulas.formulas_plugin)
    parser.core.ruler.push("addresses", _bare_addresses)
    parser.core.ruler.push("prepare", _prepare)
    rules: dict[str, Callable[[Token], str]] = {
        "code_block": _code,
        "fence": _code,
        "heading_close": _heading,
        "heading_open": _heading,
        "image": _image,
        "link_close": _link,
        "link_open": _link,
        "table_close": lambda token: "</table></div>\n",
        "table_open": _table,
        "td_open": _cell,
        "th_open": _cell,
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, _of_token(rule))
    return parser


def _of_token(rule: Callable[[Token], str]) -> Callable[..., str]:
    def of_token(renderer: Any, tokens: Sequence[Token], index: int, *rest: Any) -> str:
        return rule(tokens[index])

    return of_token


def _prepare(state: StateCore) -> None:
    """Note on tokens, in one pass, what their rules need to know of their surroundings."""
    table: Token | None = None
    for token in state.tokens:
        if token.type in SIDED and token.level == 0:
            token.attrSet("dir", "auto")  # those within take it from there
        if token.type == "table_open":
            table = token
        elif token.type == "thead_close":
            table = None
        elif token.type == "inline":
            if table is not None:
                table.meta.setdefault("headings", []).append(token.content)
            _prepare_inline(token.children or [])


def _bare_addresses(state: StateCore) -> None:
    """Make links of whole addresses that stand in the text as they are."""
    for token in state.tokens:
        if token.children and "://" in token.content:
            made: list[Token] = []
            inside = 0
            for child in token.children:
                inside += child.nesting if child.type in ("link_open", "link_close") else 0
                made += [child] if inside or child.type != "text" else _linked(child)
            token.children = made


def _linked(text: Token) -> list[Token]:
    made: list[Token] = []
    written = 0
    for match in _ADDRESS.finditer(text.content):
        address = match.group().rstrip("?!.,:;*_~'\"")
        if address.endswith(")") and "(" not in address:
            address = address.rstrip("?!.,:;*_~'\")")
        if address.endswith("//"):
            continue
        made.append(_piece("text", content=text.content[written : match.start()]))
        made.append(_piece("link_open", 1, attrs={"href": address}, markup="autolink"))
        made.append(_piece("text", content=address))
        made.append(_piece("link_close", -1))
        written = match.start() + len(address)
    return [*made, _piece("text", content=text.content[written:])] if made else [text]


def _piece(kind: str, nesting: Literal[1, 0, -1] = 0, **fields: Any) -> Token:
    return Token(kind, "a" if nesting else "", nesting, **fields)


def _prepare_inline(tokens: Sequence[Token]) -> None:
    link: Token | None = None
    for token in tokens:
        if token.type == "code_inline":
            token.attrSet("dir", "ltr")
        elif token.type == "link_open":
            link = token
        elif token.type == "link_close" and link is not None:
            token.attrSet("href", str(link.attrGet("href") or ""))
            link = None
        elif token.type == "image":
            token.meta["linked"] = link is not None


def _heading(token: Token) -> str:
    level = min(6, int(token.tag[1:]) + FIRST_HEADING - 1)
    return f"<h{level}>" if token.nesting == 1 else f"</h{level}>\n"


def _code(token: Token) -> str:
    code = token.content.removesuffix("\n")
    language = token.info.split()[0].lower()[:30] if token.info.strip() else ""
    kind = _("Code")
    if language:
        kind = _("%(language)s code") % {"language": language.upper() if len(language) < 4 else language.capitalize()}
    return (
        f'<figure class="code"><figcaption><span>{escapeHtml(language or "text")}</span></figcaption>'
        f'<pre dir="ltr" tabindex="0" role="region" aria-label="{escapeHtml(_named(kind, code))}">'
        f"<code>{coloured(code, language)}</code></pre></figure>\n"
    )


def _named(kind: str, words: str) -> str:
    """An accessible name that differs from its neighbours': what it is, and its own first words."""
    first = " ".join(words.strip().split("\n", 1)[0].split())
    return f"{kind}: {first[:NAME_LIMIT]}" if first else kind


def _table_rule(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """The parser's own, which fills up each row to the header's width: one letter would make a row of hundreds.

    A table that is much wider than it is written ends there, and the rest is text. No more lines are looked at than
    twice those that it has: what looks like a table's beginning may come again with each line of a text.
    """
    if not table(state, first, last, True):
        return False
    if silent:
        return True
    before, lines = len(state.tokens), FIRST_LINES
    while True:
        until = min(last, first + lines)
        table(state, first, _table_end(state, first, until), False)
        if state.line < until or until == last:
            return True
        del state.tokens[before:]
        lines *= 2


def _table_end(state: StateBlock, first: int, last: int) -> int:
    header, columns = (state.src[state.bMarks[line] : state.eMarks[line]] for line in (first, first + 1))
    cells, spare = columns.strip().strip("|").count("|") + 1, SPARE_CELLS + len(header) + len(columns)
    for line in range(first + 2, last):
        row = state.src[state.bMarks[line] : state.eMarks[line]]
        if not row.strip():
            break
        spare += len(row) - cells
        if spare < 0:
            return line
    return last


def _table(token: Token) -> str:
    name = escapeHtml(_named(_("Table"), ", ".join(token.meta.get("headings", []))))
    direction = ' dir="auto"' if token.attrGet("dir") else ""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table{direction}>\n'


def _cell(token: Token) -> str:
    scope = ' scope="col"' if token.tag == "th" else ""
    figures = ' class="n"' if "right" in str(token.attrGet("style") or "") else ""
    return f"<{token.tag}{scope}{figures}>"


def _leads_out(address: str) -> bool:
    """Whether an address is a whole one; a model does not know ours, a relative one would lead anywhere."""
    return address.lower().startswith(SCHEMES)


def _link(token: Token) -> str:
    href = str(token.attrGet("href") or "")
    if token.nesting == -1:
        return "</a>" if _leads_out(href) else "</span>"
    if not _leads_out(href):
        return "<span>"
    title = str(token.attrGet("title") or "")
    bare = ' class="bare"' if token.markup == "autolink" else ""  # on paper, other links are followed by their address
    return f'<a href="{escapeHtml(href)}"{bare}' + (f' title="{escapeHtml(title)}"' if title else "") + ">"


def _image(token: Token) -> str:
    """A link instead of the picture: loading it would tell another host who reads what, and when."""
    source = str(token.attrGet("src") or "")
    words = _("Image: %(description)s") % {"description": escapeHtml(token.content or _("without a description"))}
    if token.meta["linked"] or not _leads_out(source):
        return words
    return f'<a href="{escapeHtml(source)}">{words}</a>'
