"""The branches' addresses: which there are at a message, and which is current."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import branch, feed
from conversations.api.base import AsyncAPIView
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


class SiblingsView(AsyncAPIView):
    """The versions of a question, or the answers to one."""

    @extend_schema(operation_id="list_siblings", responses=SiblingSerializer(many=True))
    async def get(self, request: Request, message_id: UUID) -> Response:
        """The message and all that share its parent, the oldest first."""
        found = await in_database(branch.siblings, user=self.user, message_id=message_id)
        return Response([{**message_json(message), "current": message.current} for message in found])
