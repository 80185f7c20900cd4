"""Celery's broker in a folder, where there is no Redis: kombu's own, but a message is there whole or not at all.

kombu opens a message's file under its name and then writes it. A worker that looks in between takes an empty file: the
message is lost, and the worker ends.
"""

from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):  # type: ignore[misc]  # kombu has no types
    """kombu's, which names a message's file when it is written."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:
        name = f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"  # as kombu's own, which are read in this order
        place = Path(self.data_folder_out) / name
        unfinished = place.with_name(f".{name}")  # which is no queue's
        try:
            unfinished.write_text(dumps(payload), encoding="utf-8")
            unfinished.replace(place)
        except OSError as error:
            raise ChannelError(f"{place} can't be written: {error.strerror}.") from error


class Transport(filesystem.Transport):  # type: ignore[misc]
    """kombu's, with the channel above."""

    Channel = Channel
