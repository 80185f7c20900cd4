"""An id for every request, so that what a person was told can be found in the log."""

import contextvars
import re
import uuid

_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request being answered; empty outside one."""
    return _request_id.get()


def begin_request(given: str = "") -> str:
    """Take the id that a proxy gave, if it is a harmless one, or make one; it becomes the current one."""
    request_id = given if re.fullmatch(r"[A-Za-z0-9_-]{8,64}", given) else uuid.uuid4().hex
    _request_id.set(request_id)
    return request_id
