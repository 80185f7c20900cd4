"""The one form in which every door says no.

`Refusal` is the base of every error that a person may see; each is defined beside its raiser and
names its code and its HTTP status. Doors turn it into
`{"error": {"code", "message", "request_id", …details}}`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.requests import current_request_id

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

logger = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that is not granted, with a sentence for people and details for programs."""

    code: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 400

    def __init__(self, message: str | _StrPromise, **details: Any) -> None:
        super().__init__(message)
        self._message = message
        self.details = details

    @property
    def message(self) -> str:
        """The sentence, in the language that is spoken."""
        return str(self._message)

    def as_error(self) -> dict[str, Any]:
        """The object under `error`, without the request's id."""
        return {"code": self.code, "message": self.message, **self.details}

    def as_stored(self) -> dict[str, Any]:
        """The same to be kept: a lazy sentence as it stands in the code, so that it is translated when it is shown."""
        with translation.override(None):
            return self.as_error()

    def headers(self) -> dict[str, str]:
        """Headers that an HTTP answer carries beside the body."""
        retry_after = self.details.get("retry_after")
        return {} if retry_after is None else {"Retry-After": str(retry_after)}


class InvalidRequest(Refusal):
    """A body, a parameter or a header that does not fit; `fields` says which and why."""


class NotAuthenticated(Refusal):
    """Nobody is signed in, or the token does not hold."""

    code, status = "not_authenticated", 401

    def headers(self) -> dict[str, str]:
        """What a 401 must name: how to authenticate."""
        return {"WWW-Authenticate": "Bearer"}


NOTHING_HERE = gettext_lazy("There is nothing here, or it is not yours.")


class NotFound(Refusal):
    """There is no such thing, or it is someone else's: both answer alike."""

    code, status = "not_found", 404

    def __init__(self, message: str | _StrPromise = NOTHING_HERE, **details: Any) -> None:
        super().__init__(message, **details)


class BodyTooLarge(Refusal):
    """More bytes than the site reads."""

    code, status = "body_too_large", 413


class Fault(Refusal):
    """A fault of ours; the log has the rest, under the request's id."""

    code, status = "server_error", 500


class Unavailable(Refusal):
    """The database, the cache or the channel layer is away."""

    code, status = "unavailable", 503


# What is raised where one of them is away.
AWAY = (OperationalError, InterfaceError, RedisError, ConnectionError)


def envelope(refusal: Refusal) -> dict[str, Any]:
    """The whole body of an answer that says no."""
    return {"error": {**refusal.as_error(), "request_id": current_request_id()}}


def response(refusal: Refusal) -> JsonResponse:
    """The answer of a door that is a plain Django view."""
    return JsonResponse(envelope(refusal), status=refusal.status, headers=refusal.headers())


def translate(error: Exception) -> Refusal | None:
    """What Django and REST framework raise, as ours; None where it is no refusal but a fault."""
    if isinstance(error, AWAY):
        names = [type(each).__name__ for each in (error, error.__cause__) if each]  # Django's, and the driver's own
        logger.error("a part of the site cannot be reached: %s", ", ".join(names))
        return Unavailable(_("A part of this site cannot be reached now. Nothing was sent. Try again in a minute."))
    match error:
        case Refusal():
            return error
        case RecursionError():
            return InvalidRequest(_("The body is nested too deeply."), fields={"body": [_("Too many levels.")]})
        case Http404() | exceptions.NotFound():
            return NotFound()
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return NotAuthenticated(_("Sign in, or send a valid personal token."))
        case exceptions.PermissionDenied() | PermissionDenied():
            return NotAuthenticated(str(getattr(error, "detail", "")) or _("This is not allowed."))
        case exceptions.ValidationError():
            fields = error.detail if isinstance(error.detail, dict) else {"body": error.detail}
            return InvalidRequest(_("Some fields do not fit; see `fields`."), fields=fields)
        case exceptions.ParseError():
            return InvalidRequest(
                _("The body is not the JSON that this address takes."), fields={"body": [str(error.detail)]}
            )
        case exceptions.APIException():
            return InvalidRequest(str(error.detail), fields={})
    return None


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's hook: the same envelope for its errors and ours."""
    refusal = translate(error)
    if refusal is None:
        return None
    status = refusal.status
    if isinstance(error, exceptions.APIException) and isinstance(refusal, InvalidRequest):
        status = error.status_code  # 405, 406 and 415 keep their own status
    return Response(envelope(refusal), status=status, headers=refusal.headers())


def wants_json(request: HttpRequest) -> bool:
    """Whether a program asks, rather than a person's browser."""
    return request.path.startswith("/api/")
