"""Where things are kept: the database, the cache, the channel layer and the broker, as Django's settings name them."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

Named = dict[str, dict[str, Any]]  # by alias

SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
}
# libpq's words; those of DATABASE_URL's own query come before them. Without them a thread that asks a server whose host
# has vanished waits for a quarter of an hour, and so do all, one by one.
WIRE = {
    "connect_timeout": 4,  # seconds
    "keepalives": 1,
    "keepalives_idle": 10,  # seconds without a word after which the other side is asked, every 5 seconds, 3 times
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds that what was sent may stay unacknowledged; a slow query is not meant
}

# Beyond Django's own 300, what was used least lately goes, among it counters of who has tried or sent too often.
LOCAL_CACHE = {"MAX_ENTRIES": 100_000}


def database(url: str, *, threads: int, pooler: bool = False) -> dict[str, Any]:
    """SQLite in WAL mode with immediate transactions, or PostgreSQL through psycopg's pool for so many threads.

    `pooler`: whether one stands between that gives each transaction another connection. Raises ImproperlyConfigured
    where the address is neither's.
    """
    try:
        config = dict[str, Any](dj_database_url.parse(url))
    except ValueError:
        raise ImproperlyConfigured(
            "DATABASE_URL is not a database's address such as postgres://user:password@host/name."
        ) from None
    config["CONN_MAX_AGE"] = 0  # under ASGI a kept connection outlives its thread; the pool keeps them
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = dict(SQLITE)
        try:
            Path(config["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImproperlyConfigured(
                f"DATABASE_URL is {url!r}: its file's folder cannot be made ({error.strerror})."
            ) from None
    elif config["ENGINE"] == "django.db.backends.postgresql":
        config["ENGINE"] = "chatproject.postgresql"  # hands out no connection that a restart of the server broke
        # Short, so that after a server's restart the next request finds it again: the pool's own tries to
        # connect wait twice as long each time.
        pool = {"min_size": 1, "max_size": threads + 8, "timeout": 4, "reconnect_timeout": 1}
        config["OPTIONS"] = {"pool": pool, **WIRE, **config.get("OPTIONS", {})}
        config["DISABLE_SERVER_SIDE_CURSORS"] = pooler  # nor does `accounts.batches` prepare anything then
    else:
        raise ImproperlyConfigured("DATABASE_URL must name an SQLite file or a PostgreSQL database.")
    return config


def cache_and_layer(redis_url: str) -> tuple[Named, Named]:
    """`CACHES` and `CHANNEL_LAYERS`. Without Redis there is one web process, and what it shares is in its memory."""
    if not redis_url:
        return (
            {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": LOCAL_CACHE}},
            {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1000}}},
        )
    cache = "django.core.cache.backends.redis.RedisCache"
    return (
        {"default": {"BACKEND": cache, "LOCATION": [redis_url]}},  # of a string it makes several, at each comma
        {
            "default": {
                "BACKEND": "conversations.redis_layer.RedisLayer",
                "CONFIG": {"hosts": [redis_url], "capacity": 1000},
            }
        },
    )


# The transport options of Redis as a broker: seconds, after which one that says nothing is given up; it would be waited
# for without end.
PATIENT_BROKER = {"socket_timeout": 5, "socket_connect_timeout": 5}


def broker(redis_url: str) -> str:
    """Redis as Celery names it.

    It calls a socket file otherwise, takes no other options, and looks at no certificate unless it is told to.
    """
    place = urlsplit(redis_url)
    asked = dict(parse_qsl(place.query))
    if place.scheme == "unix":
        user, password = place.username or "", place.password or quote(asked.get("password", ""), safe="")
        who = f"{user}:{password}@" if user or password else ""
        return f"redis+socket://{who}{place.path}?{urlencode({'virtual_host': asked.get('db', 0)})}"
    sealed = {name: value for name, value in asked.items() if name.startswith("ssl_")}
    if place.scheme == "rediss":
        sealed.setdefault("ssl_cert_reqs", "required")
    number = asked.get("db") or place.path.strip("/") or 0
    return f"{place.scheme}://{place.netloc}/{number}{'?' if sealed else ''}{urlencode(sealed)}"


def folder_broker(folder: Path) -> dict[str, Any]:
    """The transport options of a broker that is a folder in VAR_DIR, which is made."""
    messages, control = folder / "messages", folder / "control"
    try:
        for part in (messages, control):
            part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"VAR_DIR is {str(folder.parent)!r}: the broker's folder cannot be made there ({error.strerror})."
        ) from None
    folders = {"data_folder_in": str(messages), "data_folder_out": str(messages), "control_folder": str(control)}
    return {**folders, "polling_interval": 0.2}  # seconds: also how late a worker sees that it is to end
