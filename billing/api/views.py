"""What the user has spent, and what is left."""

from dataclasses import replace
from typing import cast

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from billing import budgets, downloads, money, usage
from billing.api import serializers
from billing.api.reports import DAYS, FileView, selection_of
from billing.exports import FORMATS


class UsageView(APIView):
    """The user's own usage."""

    @extend_schema(summary="What I have spent", responses=serializers.UsageSerializer, tags=["usage"])
    def get(self, request: Request) -> Response:
        """Today and this month, the month by day and by model."""
        month, today = usage.this_month(user=cast("User", request.user), now=timezone.now())
        return Response(month.as_json(today=today))


class UsageExportView(FileView):
    """The user's own records as a file."""

    @extend_schema(
        summary="My usage records as CSV", parameters=DAYS, responses={(200, "text/csv"): bytes}, tags=["usage"]
    )
    def get(self, request: Request) -> HttpResponseBase:
        """One line a usage record, corrections included; this month where no days are given."""
        days = {name: value for name, value in request.query_params.items() if name in ("from", "to")}
        selection = replace(selection_of(days), user=cast("User", request.user).pk)
        return downloads.made_now(form=FORMATS["csv"], selection=selection)


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
