"""HTTP bodies on their way in: left to the view that they are meant for.

Twisted takes every form apart before anybody has looked at it, whoever sent it and wherever to, on the event loop and
in memory: 40 ms for each megabyte of a file, in which no delta moves, and an answer of its own where the form is
broken. Django does it again, in a thread and within bounds, and only where a view asks for it.
"""

from typing import Any

from daphne import http_protocol


class Request(http_protocol.WebRequest):  # type: ignore[misc]  # it brings no types
    """Daphne's, with its body as it came."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, parsePOSTFormSubmission=False, **kwargs)


def install() -> None:
    """Have Daphne make its requests so; it looks their class up with each connection."""
    http_protocol.WebRequest = Request
