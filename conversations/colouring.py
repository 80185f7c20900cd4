"""Code → HTML in colours, for `rendering`. Pure; no code keeps it busy for long."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from markdown_it.common.utils import escapeHtml
from pygments.lexer import ExtendedRegexLexer, Lexer, RegexLexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Operator, String, Text, _TokenType
from pygments.token import Literal as Figure
from pygments.util import ClassNotFound

HIGHLIGHT_LIMIT = 50_000  # characters; longer code is shown plain, since colouring it takes seconds
REACH = 1_000  # characters that a lexer looks at at once: what some take grows with the cube of them
_LONG_LINES = re.compile(rf"^(.{{{REACH},}}\n?)", re.MULTILINE)
_APART = re.compile(r"\n[ \t]*\n(?=\S)")
_Match = Callable[..., re.Match[str] | None]

# The stylesheet has four classes for code; a token takes the first that it lies under.
_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "c"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Tag, "k"),
    (String, "s"),
    (Figure, "m"),
)


def coloured(code: str, language: str) -> str:
    """Code as safe HTML, with a class for each kind of word; plain where the language is not known, or it is long."""
    lexer = _lexer(language) if language and len(code) <= HIGHLIGHT_LIMIT else None
    if lexer is None:
        return escapeHtml(code)
    parts: list[str] = []
    open_class = ""
    for kind, value in _tokens(lexer, code):
        css = next((css for family, css in _CLASSES if kind[: len(family)] == family), "")
        if css != open_class:
            parts.append(("</span>" if open_class else "") + (f'<span class="{css}">' if css else ""))
            open_class = css
        parts.append(escapeHtml(value))
    return "".join(parts) + ("</span>" if open_class else "")


def _tokens(lexer: Lexer, code: str) -> Iterator[tuple[_TokenType, str]]:
    """Code in tokens; a line longer than `REACH` is one."""
    for place, part in enumerate(_LONG_LINES.split(code)):
        if place % 2:
            yield Text, part
        elif _can_be_bounded(lexer):
            yield from _lexed(lexer, part)
        else:
            for window in _windows(part):
                yield from _lexed(lexer, window)


def _lexed(lexer: Lexer, code: str) -> list[tuple[_TokenType, str]]:
    """Its tokens; plain where a lexer loses characters, or repeats some: what is shown is what was written.

    Some lose a last line that does not end.
    """
    ended = code if code.endswith("\n") else f"{code}\n"
    tokens = [(kind, value) for _, kind, value in lexer.get_tokens_unprocessed(ended)]
    if "".join(value for _, value in tokens) != ended:
        return [(Text, code)]
    if ended != code:
        kind, value = tokens.pop()
        tokens.append((kind, value[:-1]))
    return tokens


def _windows(code: str) -> Iterator[str]:
    """Code in parts of no more than `REACH`; cut where something new begins, if it does.

    That is below a blank line, where a line stands at the left: hardly ever within a text or a comment.
    """
    start = 0
    while len(code) - start > REACH:
        end = code.rfind("\n", start, start + REACH) + 1
        apart = [match.end() for match in _APART.finditer(code, start, end)]
        end = apart[-1] if apart and apart[-1] - start > REACH // 3 else end
        yield code[start:end]
        start = end
    yield code[start:]


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    if _can_be_bounded(lexer):
        _bound(lexer)
    return lexer


def _can_be_bounded(lexer: Lexer) -> bool:
    """Whether a lexer knows the code by its rules alone; others look around in it by code of their own."""
    return isinstance(lexer, RegexLexer) and not isinstance(lexer, ExtendedRegexLexer)


def _bound(lexer: Any) -> None:
    """Let none of its rules look further than `REACH`.

    So it can go through all of the code, and remembers in which text or comment it is, and yet takes no more time for
    each character than for the first.
    """
    lexer._tokens = {
        state: [(_bounded(match), *rest) for match, *rest in rules] for state, rules in lexer._tokens.items()
    }


def _bounded(match: _Match) -> _Match:
    return lambda text, place: match(text, place, place + REACH)
