"""What happens to every request before a view sees it."""

from functools import cache, partial
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from accounts import errors, language
from accounts.models import User
from accounts.requests import begin_request
from accounts.sessions import holder, note


class RequestIdMiddleware(MiddlewareMixin):
    """Names the request, and says the name in the answer's headers."""

    def process_request(self, request: HttpRequest) -> None:
        """Begin it under the id that a proxy gave, or a new one."""
        request.META["chat.request_id"] = begin_request(request.headers.get("X-Request-ID", ""))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Say it."""
        response.headers["X-Request-ID"] = request.META["chat.request_id"]
        return response


class SessionUserMiddleware(AuthenticationMiddleware):
    """Django's, but a new secret key renames no session."""

    def process_request(self, request: HttpRequest) -> None:
        """Find the user when somebody asks for them, once."""
        super().process_request(request)
        find = cache(partial(holder, request))
        request.user = cast(User, SimpleLazyObject(find))
        request.auser = sync_to_async(find)


@sync_and_async_middleware
def session_seen(get_response: Any) -> Any:
    """Notes where people are signed in, for their list of sessions, and has their browser keep up with what they chose
    elsewhere; whoever has no session costs nothing, and whoever has one no more than a look every few minutes.
    """
    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            noted = settings.SESSION_COOKIE_NAME in request.COOKIES and await sync_to_async(_noted)(request)
            return _keeping_up(request, await get_response(request), noted=noted)

        return later

    def at_once(request: HttpRequest) -> HttpResponseBase:
        noted = settings.SESSION_COOKIE_NAME in request.COOKIES and note(request)
        return _keeping_up(request, get_response(request), noted=noted)

    return at_once


def _noted(request: HttpRequest) -> bool:
    """`note` on the request's own thread, whose connection goes back at once.

    Or that thread would keep it until the answer is closed, which for an event stream is the whole reply.
    """
    try:
        return note(request)
    finally:
        close_old_connections()


def _keeping_up(request: HttpRequest, response: HttpResponseBase, *, noted: bool) -> HttpResponseBase:
    if noted and isinstance(request.user, User):  # it has been read for the note
        language.keep_up(request.user, request, response)
    return response


class HostMiddleware(CommonMiddleware):
    """Django's, which refuses a Host that is not ours; but who asks whether this process is up knows no name of it."""

    def process_request(self, request: HttpRequest) -> Any:
        """None, or the way to the right address."""
        return None if request.path in settings.FOR_OPERATORS else super().process_request(request)


class NoNulMiddleware(MiddlewareMixin):
    """Refuses a NUL in an address's query, or in a session's key: nothing is called so, and PostgreSQL fails at it."""

    def process_request(self, request: HttpRequest) -> Any:
        """400."""
        session = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")  # a quoted one may say it as "\\000"
        if "%00" not in request.META.get("QUERY_STRING", "") and "\x00" not in session:
            return None
        return errors.response(errors.InvalidRequest(_("The request cannot be read."), fields={}))


class BodyLimitMiddleware(MiddlewareMixin):
    """Refuses a body that is larger than the site reads, in the form in which it refuses everything."""

    def process_request(self, request: HttpRequest) -> Any:
        """413 where the body is too large; REST framework's parsers would read it whole."""
        if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
            missing = {"Content-Length": ["Missing."]}  # REST framework would take the body for empty
            return errors.response(errors.InvalidRequest(_("Say how long the body is."), fields=missing))
        limit: int = settings.UPLOAD_LIMITS.get(request.path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) <= limit:
            return None
        return errors.response(
            errors.BodyTooLarge(
                _("At most %(limit)s bytes can be sent at once.") % {"limit": f"{limit:,}"}, limit=limit
            )
        )
