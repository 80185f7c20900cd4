"""The branches' addresses: which there are at a message, and which is current."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import branch, feed
from conversations.api.base import AsyncAPIView, Pages
from conversations.api.serializers import MessageSerializer, SiblingSerializer
from conversations.events import message_json
from conversations.pool import in_database
from conversations.replies import own_conversation


class SelectView(AsyncAPIView):
    """Go to another branch."""

    @extend_schema(operation_id="select_branch", request=None, responses=MessageSerializer)
    async def post(self, request: Request, message_id: UUID) -> Response:
        """Make the branch through a message current, down to its newest end; answers with that last message."""
        leaf = await in_database(branch.select, user=self.user, message_id=message_id)
        conversation = await in_database(own_conversation, self.user, leaf.conversation_id)
        await feed.tell_branch(conversation, leaf)
        return Response(message_json(leaf))


class OldestVersionFirst(Pages):
    """Messages that share a parent."""

    ordering = ("created_at", "pk")


class SiblingsView(AsyncAPIView):
    """The versions of a question, or the answers to one."""

    pagination_class = OldestVersionFirst

    @extend_schema(operation_id="list_siblings", responses=SiblingSerializer(many=True))
    async def get(self, request: Request, message_id: UUID) -> Response:
        """A page of the message and those that share its parent, the oldest first."""
        return await in_database(self._list, request, message_id)

    def _list(self, request: Request, message_id: UUID) -> Response:
        found = branch.siblings(user=self.user, message_id=message_id)
        return self.page(request, found, lambda message: {**message_json(message), "current": message.current})
