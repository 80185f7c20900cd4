"""Text that a spreadsheet will not compute."""

FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"  # a spreadsheet computes what begins so, in full width too
SPACE = "".join(chr(code) for code in range(0x10000) if chr(code).isspace())
_STARTS = frozenset(FORMULA_STARTS)


def safe(text: str) -> str:
    """The text, with an apostrophe before it where it would be taken for a formula."""
    return f"'{text}" if text[:1] in _STARTS or text.lstrip()[:1] in _STARTS else text
