"""What the API takes and gives, field by field; the schema is made from these."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from conversations.models import Conversation, Message, Tier


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """A conversation."""

    class Meta:
        model = Conversation
        fields = ("id", "title", "system_prompt", "tier", "archived", "created_at", "updated_at")
        read_only_fields = ("id", "created_at", "updated_at")

    def create(self, validated_data: dict[str, Any]) -> Conversation:
        """A new one, of the user given to `save`."""
        now = timezone.now()
        return Conversation.objects.create(created_at=now, updated_at=now, **validated_data)


class SendSerializer(serializers.Serializer[Any]):
    """A message to send."""

    content = serializers.CharField(trim_whitespace=False, max_length=1_000_000)
    tier = serializers.ChoiceField(Tier.choices, required=False, allow_null=True)
    parent: Any = serializers.UUIDField(
        required=False, allow_null=True, help_text="The answer that it follows; null: none; absent: the newest."
    )


class RegenerateSerializer(serializers.Serializer[Any]):
    """Another answer."""

    tier = serializers.ChoiceField(Tier.choices, required=False, allow_null=True)


class ReplyUsageSerializer(serializers.Serializer[Any]):
    """What a reply used and cost."""

    input_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.CharField(help_text="Dollars, as an exact decimal.")
    estimated = serializers.BooleanField()
    model = serializers.CharField()


class MessageSerializer(serializers.Serializer[Any]):
    """A message."""

    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    parent: Any = serializers.UUIDField(allow_null=True)
    role = serializers.ChoiceField(Message.Role.choices)
    content = serializers.CharField()
    html = serializers.CharField(help_text="The content as safe HTML.")
    status = serializers.ChoiceField(Message.Status.choices)
    finish_reason = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    usage = ReplyUsageSerializer(allow_null=True)


class ReplyContextSerializer(serializers.Serializer[Any]):
    """What was sent to the model."""

    prompt_tokens = serializers.IntegerField()
    limit = serializers.IntegerField()
    included_messages = serializers.IntegerField()
    dropped_messages = serializers.IntegerField()


class ReplyBudgetSerializer(serializers.Serializer[Any]):
    """The budget that has the least left."""

    remaining_usd = serializers.CharField()
    limit_usd = serializers.CharField()
    period = serializers.ChoiceField(["day", "month"])
    resets_at = serializers.DateTimeField()


class ReplySerializer(serializers.Serializer[Any]):
    """An answer, whole."""

    message = MessageSerializer()
    usage = ReplyUsageSerializer()
    context: Any = ReplyContextSerializer()
    budget = ReplyBudgetSerializer()
