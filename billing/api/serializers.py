"""What the money endpoints answer, for the schema."""

from typing import Any

from rest_framework import serializers

from billing.exports import FORMATS
from billing.exports.focus.columns import VERSIONS
from billing.models import Budget, ExportRun


class TotalSerializer(serializers.Serializer[object]):
    """Settled calls added up."""

    calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField(help_text="All input tokens, cached ones included.")
    cached_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField(help_text="All output tokens, reasoning included.")
    reasoning_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.CharField(help_text="Dollars, a decimal string, nothing rounded.")


class DayTotalSerializer(TotalSerializer):
    """One spend date."""

    date = serializers.DateField()


class ModelTotalSerializer(TotalSerializer):
    """One model."""

    model = serializers.CharField()


class UsageSerializer(serializers.Serializer[object]):
    """The user's own settled calls of this day and month."""

    today = TotalSerializer()
    month = TotalSerializer()
    by_day = DayTotalSerializer(many=True, help_text="The days of this month, the newest first.")
    by_model = ModelTotalSerializer(many=True, help_text="The models of this month, the dearest first.")


class StandingSerializer(serializers.Serializer[object]):
    """What is left in one budget."""

    remaining_usd = serializers.CharField(help_text="What a further call may cost at most, in dollars.")
    limit_usd = serializers.CharField()
    period = serializers.ChoiceField(choices=Budget.Period.choices)
    resets_at = serializers.DateTimeField()


class NamedStandingSerializer(StandingSerializer):
    """What is left in one of the budgets that cover the user."""

    name = serializers.CharField(help_text="What people call it.")
    scope = serializers.ChoiceField(choices=Budget.Scope.choices)
    spent_usd = serializers.CharField()
    held_usd = serializers.CharField(help_text="Set aside for calls under way.")


class BudgetSerializer(StandingSerializer):
    """The tightest budget, and all that cover the user."""

    budgets = NamedStandingSerializer(many=True)


class LineSerializer(TotalSerializer):
    """One value of what a report is grouped by; it is also under the grouping's own name."""

    corrected_usd = serializers.CharField(help_text="What is in it of corrections, adjustments, credits, write-offs.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`label` is taken by the base class."""
        return {"label": serializers.CharField(), **super().get_fields()}


class MadeOfSerializer(TotalSerializer):
    """What a total is made of."""

    kind = serializers.ChoiceField(["calls", "corrections", "adjustments", "credits", "write_offs"])
    records = serializers.IntegerField(help_text="0 for calls, which are counted as such.")


class ReportSerializer(serializers.Serializer[object]):
    """A page of a report, and the totals over all of it."""

    group_by = serializers.CharField()
    count = serializers.IntegerField(help_text="Lines on all pages.")
    total = TotalSerializer()
    made_of = MadeOfSerializer(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = LineSerializer(many=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` and `to` are words of Python's own."""
        days = {name: serializers.DateField() for name in ("from", "to")}
        return {**days, **super().get_fields()}


class RunRequestSerializer(serializers.Serializer[object]):
    """What to export; without days this month."""

    format = serializers.ChoiceField(list(FORMATS), default="csv")
    focus_version = serializers.ChoiceField(list(VERSIONS), required=False)
    user = serializers.IntegerField(required=False)
    group = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    feature = serializers.CharField(required=False)
    key = serializers.CharField(required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` and `to` are words of Python's own."""
        days = {name: serializers.DateField(required=False) for name in ("from", "to")}
        return {**days, **super().get_fields()}


class RunSerializer(serializers.Serializer[object]):
    """An export that is made in the background."""

    id = serializers.UUIDField()
    format = serializers.CharField()
    state = serializers.ChoiceField(ExportRun.State.choices)
    requested_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    records_done = serializers.IntegerField()
    records = serializers.IntegerField(allow_null=True, help_text="Usage records that there are.")
    rows = serializers.IntegerField(allow_null=True, help_text="Lines of data in the file.")
    total_usd = serializers.CharField(allow_null=True)
    size = serializers.IntegerField(allow_null=True, help_text="Bytes.")
    sha256 = serializers.CharField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    file = serializers.CharField(allow_null=True, help_text="Where it can be had.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`label` is taken, and `from` and `to` are words of Python's own."""
        first: dict[str, serializers.Field[Any, Any, Any, Any]] = {
            "label": serializers.CharField(),
            **{name: serializers.DateField() for name in ("from", "to")},
        }
        return {**first, **super().get_fields()}


class RunsSerializer(serializers.Serializer[object]):
    """A page of runs."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = RunSerializer(many=True)
