"""What every request has, an id, so that what a person was told can be found in the log, and an address; and what none
may hold.
"""

import contextvars
import re
import uuid

from django.conf import settings

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # no database takes them

_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request being answered; empty outside one."""
    return _request_id.get()


def begin_request(given: str = "") -> str:
    """Take the id that a proxy gave, if it is a harmless one, or make one; it becomes the current one."""
    request_id = given if re.fullmatch(r"[A-Za-z0-9_-]{8,64}", given) else uuid.uuid4().hex
    _request_id.set(request_id)
    return request_id


def address_of(*, forwarded: str, peer: str) -> str:
    """The client's address: as the last trusted proxy saw it, where there are proxies; else the peer's."""
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    trusted: int = settings.TRUSTED_PROXIES
    return hops[-trusted] if trusted and len(hops) >= trusted else peer
