"""The messages' addresses: send, answer again, follow, stop."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InvalidRequest
from conversations import limits, replies, settling, stopping
from conversations.api.base import AsyncAPIView, Pages, address, idempotency_key
from conversations.api.serializers import MessageSerializer, RegenerateSerializer, ReplySerializer, SendSerializer
from conversations.api.streaming import EventStreamRenderer, event_stream
from conversations.events import ENDED, message_json, said
from conversations.following import BEYOND, follow
from conversations.pool import in_database
from conversations.replies import Begun, Parent, Send

KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same key never makes a second call."
)
BLOCKS = OpenApiParameter("blocks", int, description="Send finished blocks too: the `end` of the last one seen, or 0.")
_AGAIN = "The answer to an earlier request with the same key; as an event stream, the reply's events."
ANSWERS = {
    201: ReplySerializer,
    200: OpenApiResponse(ReplySerializer, description=_AGAIN),
}


class ReplyView(AsyncAPIView):
    """Base of the two addresses at which a reply begins: both answer as JSON or as an event stream."""

    renderer_classes = (JSONRenderer, EventStreamRenderer)

    async def reply(self, request: Request, wanted: Send) -> HttpResponseBase:
        """Take the road; stream the events, or wait for the end without holding a thread."""
        blocks = _blocks(request)
        begun = await replies.send(wanted, clock=timezone.now)
        allowance = begun.allowance
        if allowance is None:  # it was granted before: now nothing was counted
            tier = begun.message.tier
            allowance = await in_database(limits.standing, user=wanted.user, address=wanted.address, tier=tier)
        headers = allowance.headers()
        if request.accepted_renderer.media_type == EventStreamRenderer.media_type:
            return event_stream(request, begun.message, start=0, blocks=blocks, first=begun.started, headers=headers)
        async for _event in follow(begun.message, start=BEYOND):
            pass
        return await in_database(self._answer, request, begun, headers)

    def _answer(self, request: Request, begun: Begun, headers: dict[str, str]) -> Response:
        message = replies.own_message(self.user, begun.message.pk)
        if message.error:
            return _failure({**message.error, "message": said(message)}, headers)
        body = {
            "message": message_json(message),
            "usage": message_json(message)["usage"],
            "context": message.context,
            "budget": settling.standing(message, now=timezone.now()).as_json(),
        }
        return Response(body, status=201 if begun.created else 200, headers=headers)


class OldestFirst(Pages):
    """A branch from its beginning."""

    ordering = ("depth",)


class MessagesView(ReplyView):
    """A conversation's current branch, and its end, where a message is sent."""

    pagination_class = OldestFirst

    @extend_schema(operation_id="list_messages", responses=MessageSerializer(many=True))
    async def get(self, request: Request, conversation_id: UUID) -> Response:
        """A page of the branch, oldest first."""
        return await in_database(self._list, request, conversation_id)

    @extend_schema(operation_id="send_message", request=SendSerializer, parameters=[KEY, BLOCKS], responses=ANSWERS)
    async def post(self, request: Request, conversation_id: UUID) -> HttpResponseBase:
        """Send; with `Accept: text/event-stream` the events stream, else this waits for the whole answer."""
        try:
            form = SendSerializer(data=request.data)
            form.is_valid(raise_exception=True)
        except APIException:
            await in_database(replies.own_conversation, self.user, conversation_id)  # of another's nothing else is said
            raise
        wanted = Send(
            user=self.user,
            token_id=self.token_id,
            address=address(request),
            conversation_id=conversation_id,
            content=form.validated_data["content"],
            tier=form.validated_data.get("tier"),
            parent=form.validated_data.get("parent", Parent.TIP),
            key=idempotency_key(request),
        )
        return await self.reply(request, wanted)

    def _list(self, request: Request, conversation_id: UUID) -> Response:
        conversation = replies.own_conversation(self.user, conversation_id)
        return self.page(request, conversation.messages.current().select_related("usage_record"), message_json)


class MessageView(AsyncAPIView):
    """One message, on whatever branch."""

    @extend_schema(operation_id="read_message", responses=MessageSerializer)
    async def get(self, request: Request, message_id: UUID) -> Response:
        """The message."""
        return Response(message_json(await in_database(replies.own_message, self.user, message_id)))


class RegenerateView(ReplyView):
    """Answer again."""

    @extend_schema(operation_id="regenerate", request=RegenerateSerializer, parameters=[KEY, BLOCKS], responses=ANSWERS)
    async def post(self, request: Request, message_id: UUID) -> HttpResponseBase:
        """Another answer to the same question, beside the one there is."""
        answer = await in_database(replies.own_message, self.user, message_id)
        form = RegenerateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        question_id = answer.pk if answer.role == answer.Role.USER else answer.parent_id
        wanted = Send(
            user=self.user,
            token_id=self.token_id,
            address=address(request),
            conversation_id=answer.conversation_id,
            regenerate=question_id,
            tier=form.validated_data.get("tier"),
            key=idempotency_key(request),
        )
        return await self.reply(request, wanted)


class EventsView(AsyncAPIView):
    """Follow a reply."""

    renderer_classes = (EventStreamRenderer, JSONRenderer)

    @extend_schema(
        operation_id="follow_reply",
        parameters=[
            OpenApiParameter("from", int, description="The `end` reached; default 0."),
            BLOCKS,
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER),
        ],
        responses={(200, "text/event-stream"): str, 204: None},
    )
    async def get(self, request: Request, message_id: UUID) -> HttpResponseBase:
        """Replay what came after the place named, then go on live to the reply's end."""
        place = request.headers.get("Last-Event-ID") or request.query_params.get("from") or "0"
        message = await in_database(replies.own_message, self.user, message_id)
        if message.role != message.Role.ASSISTANT:
            raise InvalidRequest(_("Only an answer can be followed."), fields={"message": [_("This is a question.")]})
        if place.endswith(ENDED) and message.ended:
            return Response(status=204)  # a browser's EventSource takes it as: do not connect again
        return event_stream(request, message, start=_place(place.removesuffix(ENDED), "from"), blocks=_blocks(request))


class StopView(AsyncAPIView):
    """Stop a reply."""

    @extend_schema(operation_id="stop_reply", request=None, responses=MessageSerializer)
    async def post(self, request: Request, message_id: UUID) -> Response:
        """Stop it; answers once the connection to the provider is closed. One that has ended stays as it is."""
        message = await stopping.stop(user=self.user, message_id=message_id, now=timezone.now())
        return Response(message_json(message))


def _blocks(request: Request) -> int | None:
    """From where on blocks are wanted; None where they are not."""
    place = request.query_params.get("blocks")
    return None if place is None else _place(place, "blocks")


def _place(place: str, name: str) -> int:
    if not (place.isascii() and place.isdecimal() and len(place) <= 10 and int(place) <= BEYOND):
        raise InvalidRequest(_("That is no place in an answer."), fields={name: [_("The `end` of an event.")]})
    return int(place)


def _failure(error: dict[str, Any], headers: dict[str, str]) -> Response:
    """The answer for a reply that failed: what its first request was told."""
    body = {name: value for name, value in error.items() if name != "status"}
    wait = {"Retry-After": str(error["retry_after"])} if "retry_after" in error else {}
    return Response({"error": body}, status=error["status"], headers=headers | wait)
