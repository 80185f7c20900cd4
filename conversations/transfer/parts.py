"""A long row of things, in parts that one transaction or one statement takes."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def parts(
    items: Iterable[Item], *, weigh: Callable[[Item], tuple[int, int]], rows: int, characters: int
) -> Iterator[list[Item]]:
    """Each part ends with the item that brings it to so many rows or characters; `weigh` says what one has of both."""
    part: list[Item] = []
    had_rows = had_characters = 0
    for item in items:
        more_rows, more_characters = weigh(item)
        part.append(item)
        had_rows += more_rows
        had_characters += more_characters
        if had_rows >= rows or had_characters >= characters:
            yield part
            part, had_rows, had_characters = [], 0, 0
    if part:
        yield part
