"""REST framework's view for handlers that are coroutines.

Its checks (who asks, may they) use the database, so they run on the pool; the connection is back
before the handler starts, however long that streams.
"""

from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from conversations import limits
from conversations.pool import in_database


class AsyncAPIView(APIView):
    """Base of the API's views here; handlers are `async def`."""

    request: Request

    @property
    def user(self) -> User:
        """Who asks; the permissions let nobody else through."""
        return cast(User, self.request.user)

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """As REST framework's, with the handler awaited."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            await in_database(self.initial, self.request, *args, **kwargs)
            handler = getattr(self, (self.request.method or "").lower(), None)
            if handler is None:
                raise MethodNotAllowed(self.request.method or "")
            response: HttpResponseBase = await handler(self.request, *args, **kwargs)
        except Exception as error:
            self.request.accepted_renderer = JSONRenderer()
            self.request.accepted_media_type = JSONRenderer.media_type
            response = self.handle_exception(error)
        return self.finalize_response(self.request, cast(Response, response), *args, **kwargs)


def address(request: Request) -> str:
    """The client's address."""
    return limits.address_of(
        forwarded=request.headers.get("X-Forwarded-For", ""), peer=request.META.get("REMOTE_ADDR", "")
    )
