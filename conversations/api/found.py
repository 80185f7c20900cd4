"""The search's address."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from conversations.api.base import AsyncAPIView
from conversations.api.serializers import ConversationSerializer, FoundSerializer
from conversations.pool import in_database
from conversations.search import Hit, find


class SearchView(AsyncAPIView):
    """Search one's conversations."""

    @extend_schema(
        operation_id="search",
        parameters=[
            OpenApiParameter("q", str, description="Words; each is found by its beginning, all must be there."),
            OpenApiParameter("before", str, description="Where the page before ended."),
        ],
        responses=FoundSerializer,
    )
    async def get(self, request: Request) -> Response:
        """Conversations with the words in their title or in a message, the one used last first, with the hit shown."""
        text, before = request.query_params.get("q", ""), request.query_params.get("before", "")
        found = await in_database(find, user=self.user, text=text, before=before)
        address = request.build_absolute_uri()
        following = replace_query_param(address, "before", found.before) if found.before else None
        return Response({"next": following, "results": [_hit_json(hit) for hit in found.hits]})


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        "conversation": ConversationSerializer(hit.conversation).data,
        "title": [{"text": part.text, "hit": part.hit} for part in hit.title],
        "message": None if hit.message is None else str(hit.message.pk),
        "role": None if hit.message is None else hit.message.role,
        "current": hit.message is not None and hit.message.current,
        "text": [{"text": part.text, "hit": part.hit} for part in hit.text],
    }
