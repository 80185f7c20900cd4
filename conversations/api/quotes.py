"""The quote's address: what a message would cost, before it is sent."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.base import AsyncAPIView
from conversations.api.serializers import QuoteRequestSerializer, QuoteSerializer
from conversations.branch import Parent
from conversations.quote import Ask, quote


class QuoteView(AsyncAPIView):
    """Quote a message."""

    @extend_schema(operation_id="quote", request=QuoteRequestSerializer, responses=QuoteSerializer)
    async def post(self, request: Request) -> Response:
        """The most that sending it now would cost, and whether it fits; nothing is written or set aside."""
        form = QuoteRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        ask = Ask(
            user=self.user,
            conversation_id=form.validated_data.get("conversation"),
            content=form.validated_data["content"],
            tier=form.validated_data.get("tier"),
            parent=form.validated_data.get("parent", Parent.TIP),
            regenerate=form.validated_data.get("regenerate"),
        )
        made = await quote(ask, now=timezone.now())
        return Response(made.as_json(), headers=made.allowance.headers())
