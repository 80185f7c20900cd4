"""The personal tokens' addresses. They are made on a page, where a person shows that it is them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import tokens
from accounts.models import Token, User
from billing import money
from billing.usage import spent_by_token


class TokenSerializer(serializers.Serializer[Any]):
    """A personal token, without its secret."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    hint = serializers.CharField(help_text="Its first characters.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the minute.")
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    spent_usd = serializers.CharField()


class TokensView(APIView):
    """One's own tokens."""

    @extend_schema(operation_id="list_tokens", responses=TokenSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Those that hold first, then the newest first; at most a hundred."""
        own = tokens.own(cast(User, request.user), now=timezone.now())
        spent = spent_by_token(token.pk for token in own)
        return Response([_json(token, spent.get(token.pk, 0)) for token in own])


class TokenView(APIView):
    """One token."""

    @extend_schema(operation_id="revoke_token", request=None, responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """Revoke it, also the one that asks; it stays in the list."""
        tokens.revoke(user=cast(User, request.user), token_id=token_id, now=timezone.now())
        return Response(status=204)


def _json(token: Token, spent: int) -> dict[str, Any]:
    def instant(value: datetime | None) -> str | None:
        return None if value is None else value.isoformat()

    return {
        "id": token.pk,
        "name": token.name,
        "hint": token.hint,
        "created_at": instant(token.created_at),
        "last_used_at": instant(token.last_used_at),
        "expires_at": instant(token.expires_at),
        "revoked_at": instant(token.revoked_at),
        "spent_usd": money.to_json(spent),
    }
