"""A running reply's log: append a delta, read from an offset, close.

The log is the truth of a reply while it runs: a delta is appended here before anyone hears of it.
Its home is the database on the embedded default, and Redis where `REDIS_URL` is set. Offsets count
the characters of the reply's text.
"""

from typing import Protocol
from uuid import UUID

from django.conf import settings

from conversations.log.database import DatabaseHome
from conversations.log.delta import Delta, Telling
from conversations.log.redis import RedisHome, leave

__all__ = ["Delta", "Home", "Telling", "home", "leave"]


class Home(Protocol):
    """Where logs live."""

    async def open(self, message_id: UUID, *, telling: Telling | None = None) -> None:
        """Begin an empty log, and tell of it before anything can be appended; one that is there stays as it is."""

    async def append(self, message_id: UUID, delta: Delta, *, writer: UUID, telling: Telling | None = None) -> bool:
        """Add a delta whose start is the log's end, as the holder of the reply's lease, and then tell of it.

        False, and nothing changed nor told, where the log ends elsewhere, is sealed or is gone.
        """

    async def rewrite(self, message_id: UUID, whole: Delta, *, writer: UUID) -> bool:
        """Put the whole text in the place of a log that is not as its writer left it; what was there goes at once.

        False, and nothing changed, where the log is sealed.
        """

    async def seal(self, message_id: UUID) -> None:
        """Let nobody append any more; for who takes the lease over, before they read what there is."""

    async def read(self, message_id: UUID, start: int) -> Delta | None:
        """All that follows an offset, as one delta; None where there is nothing (yet, or any more)."""

    async def close(self, message_id: UUID) -> None:
        """Throw the log away: the message has its text. Whoever was sealed out stays so."""


def home() -> Home:
    """The log's home, as the settings say."""
    return RedisHome() if settings.REDIS_URL else DatabaseHome()
