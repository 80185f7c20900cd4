"""The bounded pools of threads on which async code does its ORM work and its slow pure work.

Django's own way, `sync_to_async(thread_sensitive=True)`, puts the work of every socket of a process
on one shared thread: one slow query would freeze them all.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections

from accounts.errors import AWAY

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

AWAY_SECONDS = 0.5  # between two tries


@functools.cache
def _database_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.CHAT_DATABASE_THREADS, thread_name_prefix="database")


@functools.cache
def _urgent_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="urgent")


@functools.cache
def _patient_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="patient")


@functools.cache
def _work_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="work")


class _Away:
    at = float("-inf")  # when this process last found the database away, by the monotonic clock


_away = _Away()


def was_away(*, within: float) -> bool:
    """Whether this process has found the database away in the last so many seconds."""
    return time.monotonic() - _away.at < within


async def in_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that uses the database; its connection goes back to the pool before this returns."""
    return await _visit(_database_threads(), work, *args, **kwargs)


async def ahead(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_database`, past all that waits there: for the little that a wait would cost replies, one at a time."""
    return await _visit(_urgent_thread(), work, *args, **kwargs)


async def beside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_database`, but beside all that goes there: what is short must not wait for files and the like."""
    return await _visit(_patient_threads(), work, *args, **kwargs)


async def _visit(threads: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    def run() -> T:
        close_old_connections()
        try:
            return work(*args, **kwargs)
        except AWAY:
            _away.at = time.monotonic()
            raise
        finally:
            close_old_connections()

    return await sync_to_async(run, thread_sensitive=False, executor=threads)()


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run slow pure work, such as rendering a long text, beside the event loop."""
    return await sync_to_async(work, thread_sensitive=False, executor=_work_threads())(*args, **kwargs)


async def insist(work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do it, however long the database or Redis is away: meanwhile the text is safe with the writer."""
    while True:
        try:
            return await work(*args, **kwargs)
        except AWAY as error:
            logger.warning("the database or the log is away: %s", type(error).__name__)
            await asyncio.sleep(AWAY_SECONDS)
