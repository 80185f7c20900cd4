"""What the user has spent, and what is left."""

from typing import cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from billing import budgets, money, reports
from billing.api import serializers


class UsageView(APIView):
    """The user's own usage."""

    @extend_schema(summary="What I have spent", responses=serializers.UsageSerializer, tags=["usage"])
    def get(self, request: Request) -> Response:
        """Today and this month, the month by day and by model."""
        return Response(reports.own_usage(user=cast("User", request.user), now=timezone.now()).as_json())


class BudgetView(APIView):
    """The user's own budgets."""

    @extend_schema(summary="What I have left", responses=serializers.BudgetSerializer, tags=["usage"])
    def get(self, request: Request) -> Response:
        """The tightest budget that covers the user, and all of them."""
        standings = budgets.standings(user=cast("User", request.user), now=timezone.now())
        return Response({**budgets.tightest(standings).as_json(), "budgets": [_named(found) for found in standings]})


def _named(standing: budgets.Standing) -> dict[str, object]:
    return {
        "name": standing.name,
        "scope": standing.scope,
        **standing.as_json(),
        "spent_usd": money.to_json(standing.spent),
        "held_usd": money.to_json(standing.held),
    }
