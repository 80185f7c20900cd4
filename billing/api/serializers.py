"""What the money endpoints answer, for the schema."""

from rest_framework import serializers

from billing.models import Budget


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
