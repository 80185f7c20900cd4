"""A text that arrives in pieces becomes the same HTML as the whole text at once, each block rendered once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations import blocks
from conversations.blocks import Block, BlockCutter, finished
from conversations.rendering import render
from tests.pace import seconds
from tests.test_rendering import ATTACKS, check_safe

pytestmark = pytest.mark.once("embedded")

LINES = [
    "para", "- a", "* b", "1. x", "10) y", "  - sub", "    code", "   three", "```", "```py", "~~~", "  ```", "   ```",
    "````", "\t```", "> q", "> ```", "> - a", "$$", "$$x$$", "\\[", "\\]", "x$$", "- $$", "| a | b |", "|---|---|",
    "---", "===", "# H", "", "", "", " ", "\t", "***", "[a]: http://x", "[a]", "- ```", "  ~~~", "    ```", "-",
    "<b>", "$x$", "**b", "\\", "`c", "> $$", "1. ```", "a\x0bb", "a\u2028b", "\x00", "[^1]", "[^1]: note",
]  # fmt: skip
texts = st.lists(
    st.tuples(st.sampled_from(LINES) | st.text(max_size=8), st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", " "])),
    max_size=16,
).map(lambda lines: "".join(line + end for line, end in lines))
ANSWER = """Some **text** with a [link][1] and $x^2$, costing $5 and $10.

1. First

   ```python
   print(1)

   ```
2. Second

```sql
select 1;

select 2;
```
After the code, https://e.example.

| a | b |
|---|--:|
| 1 | 2 |

$$
\\frac{a}{b}
$$

- loose

- items

# The end

[1]: https://e.example
"""


def rendered(pieces: list[str]) -> list[Block]:
    cutter = BlockCutter()
    made = [source for piece in pieces for source in cutter.feed(piece)]
    return [source.render() for source in made + cutter.finish()]


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts, places=st.lists(st.integers(0, 10_000), max_size=40))
def test_any_text_cut_anywhere_is_the_whole_text_rendered(text: str, places: list[int]) -> None:
    made = rendered(cut(text, places))
    assert "".join(block.html for block in made) == render(text)
    assert made == rendered([text])
    assert blocks.render_by_blocks(text) == render(text)
    assert [0, *(block.end for block in made)] == [*(block.start for block in made), len(text)]


def test_a_block_without_end_is_shown_as_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LONGEST", 20, raising=False)
    html = blocks.render_by_blocks("*short*\n\n" + "*long* & <b>\n" * 2 + "\n*short*\n")
    check_safe(html)
    assert html.count("<em>short</em>") == 2
    assert "<em>long</em>" not in html
    assert "*long* &amp; &lt;b&gt;\n*long*" in html


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts, place=st.integers(0, 10_000), number=st.integers(0, 20))
def test_whoever_comes_later_finds_the_same_blocks(text: str, place: int, number: int) -> None:
    text = text[: place % (len(text) + 1)]
    cutter = BlockCutter()
    made = [source.render() for character in text for source in cutter.feed(character)]
    assert finished(text, start=0) == made
    known = made[: number % (len(made) + 1)]
    start = known[-1].end if known else 0
    assert finished(text[start:], start=start) == made[len(known) :]


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(places=st.lists(st.integers(0, len(ANSWER)), max_size=80))
def test_an_answer_cut_anywhere_is_the_whole_answer_rendered(places: list[int]) -> None:
    made = rendered(cut(ANSWER, places))
    assert "".join(block.html for block in made) == render(ANSWER)
    assert len(made) == 9


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_pieces_is_as_safe(attack: str) -> None:
    text = f"Before\n\n{attack}\n\n- item {attack}\n\n> {attack}\n\nAfter"
    for size in (1, 3, len(text)):
        made = rendered([text[start : start + size] for start in range(0, len(text), size)])
        for block in made:
            check_safe(block.html)
        assert "".join(block.html for block in made) == render(text)


def test_each_block_says_which_text_it_stands_for() -> None:
    cutter = BlockCutter()
    assert cutter.feed("One\r\n\r") == []
    assert cutter.open_text == "One\r\n\r"
    assert [source.render() for source in cutter.feed("\nT")] == [Block(html="<p>One</p>\n", start=0, end=7)]
    assert cutter.open_text == "T"
    assert [source.render() for source in cutter.feed("wo\n```\nx\n``")] == [
        Block(html="<p>Two</p>\n", start=7, end=11)
    ]
    assert [(block.start, block.end) for block in cutter.feed("`\n")] == [(11, 21)]
    assert cutter.open_text == ""
    assert cutter.finish() == []


def test_a_block_is_finished_by_the_first_character_of_the_next() -> None:
    cutter = BlockCutter()
    assert cutter.feed("- a\n- b\n\n") == []
    assert cutter.feed("-") == []  # the list may go on
    assert cutter.feed(" c\n\n") == []
    assert [source.render().html for source in cutter.feed("N")] == [
        '<ul dir="auto">\n<li>\n<p>a</p>\n</li>\n<li>\n<p>b</p>\n</li>\n<li>\n<p>c</p>\n</li>\n</ul>\n'
    ]


def test_every_block_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(blocks, "render", lambda text: (seen.append(text), render(text))[1])
    rendered([*ANSWER])
    assert "".join(seen) == ANSWER


HOSTILE = {
    "paragraphs": "Some words.\n\n",
    "one line": "word ",
    "one list": "- item\n\n",
    "one fence": "x\n\ny\n",
    "fences in lists": "- a\n\n  ```\n  x\n\n",
    "a fence that no line tells": "$$\n```\n\n",
    "tables": "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_cost_grows_with_the_length_and_no_faster(kind: str) -> None:
    def took(length: int) -> float:
        text = ("```\n" if kind == "one fence" else "") + HOSTILE[kind] * (length // len(HOSTILE[kind]))
        return seconds(lambda: rendered([text[start : start + 10] for start in range(0, len(text), 10)]))

    took(10_000)
    small, large = (min(took(length) for _ in range(2)) for length in (20_000, 160_000))
    assert large < 20 * small + 0.05  # 8 times the text; a square would be 64
