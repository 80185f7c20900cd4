"""REST framework's view for handlers that are coroutines.

Its checks (who asks, may they) use the database, so they run on the pool; the connection is back
before the handler starts, however long that streams.
"""

from collections.abc import Callable
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.exceptions import MethodNotAllowed, NotFound
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.errors import InvalidRequest
from accounts.models import Token, User
from accounts.requests import address_of
from conversations.pool import in_database

FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


class Pages(CursorPagination):
    """Lists in pages of 50; a cursor that no page gave is refused, whatever it holds."""

    page_size = 50

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """One page's rows. Raises InvalidRequest."""
        try:
            return list(super().paginate_queryset(queryset, request, view) or [])
        except (NotFound, ValidationError, ValueError, OverflowError):
            raise InvalidRequest(
                _("That is no place in this list."), fields={"cursor": [_("Not the cursor of a page.")]}
            ) from None


class ByQuality(DefaultContentNegotiation):
    """REST framework's, which passes over how much each form is wanted: the `q` of `Accept`."""

    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        """The renderer and its media type. Raises NotAcceptable."""
        wanted = request._request.get_preferred_type([renderer.media_type for renderer in renderers])
        fitting = [renderer for renderer in renderers if renderer.media_type == wanted]
        return super().select_renderer(request, fitting or renderers, format_suffix)


class AsyncAPIView(APIView):
    """Base of the API's views here; handlers are `async def`."""

    content_negotiation_class = ByQuality
    pagination_class: type[Pages] | None = None  # of what GET lists; the schema reads it too
    request: Request

    @property
    def user(self) -> User:
        """Who asks; the permissions let nobody else through."""
        return cast(User, self.request.user)

    @property
    def token_id(self) -> int | None:
        """The personal token that asks; None where a person's session does."""
        return self.request.auth.pk if isinstance(self.request.auth, Token) else None

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """As REST framework's, with the handler awaited."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            await in_database(self.initial, self.request, *args, **kwargs)
            method = (self.request.method or "").lower()
            handler = getattr(self, method, None) if method in self.http_method_names else None
            if handler is None:
                raise MethodNotAllowed(self.request.method or "")
            response: HttpResponseBase = await handler(self.request, *args, **kwargs)
        except Exception as error:
            self.request.accepted_renderer = JSONRenderer()
            self.request.accepted_media_type = JSONRenderer.media_type
            response = self.handle_exception(error)
        return self.finalize_response(self.request, cast(Response, response), *args, **kwargs)

    def page(self, request: Request, found: Any, as_json: Callable[[Any], dict[str, Any]]) -> Response:
        """One page of a list, each row as its JSON. Raises InvalidRequest."""
        paginator = cast(type[Pages], self.pagination_class)()
        rows = paginator.paginate_queryset(found, request, view=self)
        return paginator.get_paginated_response([as_json(row) for row in rows])

    async def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        """What the address takes; in JSON, also where it answers with events."""
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().options(request, *args, **kwargs)


def flag(request: Request, name: str) -> bool:
    """Whether a parameter is on; it is not where it is absent or empty. Raises InvalidRequest."""
    try:
        return FLAGS[request.query_params.get(name, "").lower()]
    except KeyError:
        raise InvalidRequest(
            _("Some fields do not fit; see `fields`."), fields={name: [_("Either true or false.")]}
        ) from None


def idempotency_key(request: Request) -> str | None:
    """The header's key, by the letters that the other doors take it in: those of a header are bytes to Django."""
    key = request.headers.get("Idempotency-Key")
    try:
        return key and key.encode("latin-1").decode()
    except UnicodeDecodeError:
        return key


def address(request: Request) -> str:
    """The client's address."""
    return address_of(forwarded=request.headers.get("X-Forwarded-For", ""), peer=request.META.get("REMOTE_ADDR", ""))
