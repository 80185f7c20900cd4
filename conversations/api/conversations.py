"""The conversations' addresses."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.base import AsyncAPIView
from conversations.api.serializers import ConversationSerializer
from conversations.deletion import delete_conversation
from conversations.models import Conversation
from conversations.pool import in_database
from conversations.replies import own_conversation


class NewestFirst(CursorPagination):
    """Conversations, the one used last first."""

    ordering = ("-updated_at", "-id")
    page_size = 50


class ConversationsView(AsyncAPIView):
    """All of one's own."""

    @extend_schema(
        operation_id="list_conversations",
        parameters=[
            OpenApiParameter("q", str, description="Words in the title or the text."),
            OpenApiParameter("archived", bool, description="true: the archived ones instead."),
            OpenApiParameter("cursor", str),
        ],
        responses=ConversationSerializer(many=True),
    )
    async def get(self, request: Request) -> Response:
        """A page of them, the one used last first."""
        return await in_database(self._list, request)

    @extend_schema(
        operation_id="create_conversation", request=ConversationSerializer, responses={201: ConversationSerializer}
    )
    async def post(self, request: Request) -> Response:
        """Begin one; every field has a default."""
        serializer = ConversationSerializer(data=request.data)
        await in_database(serializer.is_valid, raise_exception=True)
        await in_database(serializer.save, user=self.user)
        return Response(serializer.data, status=201)

    def _list(self, request: Request) -> Response:
        archived = request.query_params.get("archived") == "true"
        found = Conversation.objects.of(self.user).filter(archived=archived)
        found = found.search(request.query_params.get("q", ""))
        paginator = NewestFirst()
        page = paginator.paginate_queryset(found, request, view=self)
        return paginator.get_paginated_response(ConversationSerializer(page, many=True).data)


class ConversationView(AsyncAPIView):
    """One of one's own."""

    @extend_schema(operation_id="get_conversation", responses=ConversationSerializer)
    async def get(self, request: Request, conversation_id: UUID) -> Response:
        """It."""
        conversation = await in_database(own_conversation, self.user, conversation_id)
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(operation_id="change_conversation", request=ConversationSerializer, responses=ConversationSerializer)
    async def patch(self, request: Request, conversation_id: UUID) -> Response:
        """Change the fields that are sent."""
        return await in_database(self._change, request, conversation_id)

    @extend_schema(operation_id="delete_conversation", responses={204: None})
    async def delete(self, request: Request, conversation_id: UUID) -> Response:
        """Delete it with its text; what it cost stays on the books."""
        await delete_conversation(user=self.user, conversation_id=conversation_id, now=timezone.now())
        return Response(status=204)

    def _change(self, request: Request, conversation_id: UUID) -> Response:
        conversation = own_conversation(self.user, conversation_id)
        serializer = ConversationSerializer(conversation, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        conversation = serializer.save()
        return Response(ConversationSerializer(conversation).data)
