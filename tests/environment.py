"""The environment that the suite runs in: the product's settings come from there, in tests as elsewhere.

Only DATABASE_URL and REDIS_URL are taken from outside; `python -m tests` sets them for its two runs.
"""

import os
import tempfile
from pathlib import Path

from chatproject.environment import Environment

GIVEN = ("DATABASE_URL", "REDIS_URL")
FOLDER = tempfile.TemporaryDirectory(prefix="chat-tests-")
VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "chatproject.settings",
    "SECRET_KEY": "a key for tests only, which therefore need not be secret, but must be long",
    "VAR_DIR": FOLDER.name,
    # Nobody listens there: a test that forgets its provider fails, and costs nothing.
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_API_KEY": "sk-tests-only",
    # Out of the way of tests that don't mean them.
    "CHAT_RATE": "100000/m",
    "CHAT_RATE_SMART": "100000/m",
    "CHAT_RATE_IP": "100000/m",
    "CHAT_RATE_QUOTE": "100000/m",
    "CHAT_REPLIES_AT_ONCE": "1000",
    # One send is one call; the tests of titles turn them on.
    "CHAT_TITLES": "false",
}


def apply() -> None:
    """Set it, before anything reads the settings."""
    for name in Environment.model_fields:
        if name not in GIVEN:
            os.environ.pop(name, None)
    os.environ.update(VARIABLES)


def is_sqlite() -> bool:
    """Whether this run is on SQLite."""
    return not os.environ.get("DATABASE_URL") or os.environ["DATABASE_URL"].startswith("sqlite:")


def sqlite_file() -> Path:
    """The SQLite file that this run's tests use, which other processes can open."""
    return Path(FOLDER.name) / "test.sqlite3"
