"""The conversations' addresses."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import feed, lifecycle, search, thread
from conversations.api.base import AsyncAPIView, Pages, flag
from conversations.api.serializers import (
    ConversationChangeSerializer,
    ConversationSerializer,
    ConversationUsageSerializer,
)
from conversations.models import Conversation
from conversations.pool import in_database
from conversations.replies import own_conversation


class NewestFirst(Pages):
    """Conversations, the one used last first."""

    ordering = ("-updated_at", "-id")


class ConversationsView(AsyncAPIView):
    """All of one's own."""

    pagination_class = NewestFirst

    @extend_schema(
        operation_id="list_conversations",
        parameters=[
            OpenApiParameter("q", str, description="Words in the title or the text, by their beginnings."),
            OpenApiParameter("archived", bool, description="true: the archived ones instead."),
            OpenApiParameter("pinned", bool, description="true: only the pinned ones."),
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
        form = ConversationSerializer(data=request.data)
        await in_database(form.is_valid, raise_exception=True)
        made = await in_database(lifecycle.create, user=self.user, now=timezone.now(), **form.validated_data)
        await feed.tell_conversation(made, "created")
        return Response(ConversationSerializer(made).data, status=201)

    def _list(self, request: Request) -> Response:
        found = Conversation.objects.of(self.user).filter(archived=flag(request, "archived"), temporary=False)
        if flag(request, "pinned"):
            found = found.filter(pinned=True)
        found = search.having(found, request.query_params.get("q", ""), user=self.user)
        return self.page(request, found, lambda conversation: ConversationSerializer(conversation).data)


class ConversationView(AsyncAPIView):
    """One of one's own."""

    @extend_schema(operation_id="get_conversation", responses=ConversationSerializer)
    async def get(self, request: Request, conversation_id: UUID) -> Response:
        """It."""
        conversation = await in_database(own_conversation, self.user, conversation_id)
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(
        operation_id="change_conversation", request=ConversationChangeSerializer, responses=ConversationSerializer
    )
    async def patch(self, request: Request, conversation_id: UUID) -> Response:
        """Change the fields that are sent: rename, pin, archive, its instructions, its tier."""
        form = ConversationChangeSerializer(data=request.data, partial=True)
        await in_database(form.is_valid, raise_exception=True)
        changed = await in_database(
            lifecycle.change, user=self.user, conversation_id=conversation_id, **form.validated_data
        )
        await feed.tell_conversation(changed, "changed")
        return Response(ConversationSerializer(changed).data)

    @extend_schema(operation_id="delete_conversation", responses={204: None})
    async def delete(self, request: Request, conversation_id: UUID) -> Response:
        """Delete it; for ten minutes this can be undone, then its text is gone. What it cost stays on the books.

        A temporary one is gone at once.
        """
        gone = await lifecycle.delete(user=self.user, conversation_id=conversation_id, now=timezone.now())
        await feed.tell_conversation(gone, "deleted")
        return Response(status=204)


class RestoreView(AsyncAPIView):
    """Undo a deletion."""

    @extend_schema(operation_id="restore_conversation", request=None, responses=ConversationSerializer)
    async def post(self, request: Request, conversation_id: UUID) -> Response:
        """Bring it back as it was; one that is not deleted stays as it is."""
        back = await in_database(lifecycle.restore, user=self.user, conversation_id=conversation_id)
        await feed.tell_conversation(back, "restored")
        return Response(ConversationSerializer(back).data)


class ConversationUsageView(AsyncAPIView):
    """A conversation's cost."""

    @extend_schema(operation_id="get_conversation_usage", responses=ConversationUsageSerializer)
    async def get(self, request: Request, conversation_id: UUID) -> Response:
        """What all its calls have cost so far."""
        conversation = await in_database(own_conversation, self.user, conversation_id)
        return Response(await in_database(lambda: thread.usage(conversation=conversation).as_json()))
