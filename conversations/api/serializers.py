"""What the API takes and gives, field by field; the schema is made from these."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from conversations.models import Conversation, Message, Tier


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """A conversation."""

    class Meta:
        model = Conversation
        fields = (
            "id", "title", "system_prompt", "tier", "archived", "pinned", "temporary", "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = ("id", "created_at", "updated_at")


class ConversationChangeSerializer(ConversationSerializer):
    """What can be changed of it later: all but whether it is temporary."""

    class Meta:
        model = Conversation
        fields = ConversationSerializer.Meta.fields
        read_only_fields = ("id", "temporary", "created_at", "updated_at")


class IdField(serializers.UUIDField):
    """An id as a text; REST framework would make one of a number too."""

    def to_internal_value(self, data: Any) -> UUID:
        """The id. Raises ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class QuoteRequestSerializer(serializers.Serializer[Any]):
    """A message that is not sent yet; it may still be empty."""

    conversation = IdField(required=False, allow_null=True, help_text="Absent: a new one.")
    content = serializers.CharField(
        required=False, default="", allow_blank=True, trim_whitespace=False, max_length=1_000_000
    )
    tier = serializers.ChoiceField(Tier.choices, required=False, allow_null=True)
    parent: Any = IdField(
        required=False, allow_null=True, help_text="The answer that it follows; null: none; absent: the newest."
    )
    regenerate = IdField(
        required=False, allow_null=True, help_text="Quote another answer to this question, in place of `content`."
    )


class SendSerializer(serializers.Serializer[Any]):
    """A message to send."""

    content = serializers.CharField(trim_whitespace=False, max_length=1_000_000)
    tier = serializers.ChoiceField(Tier.choices, required=False, allow_null=True)
    parent: Any = IdField(
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


class QuoteSerializer(serializers.Serializer[Any]):
    """What sending it would cost at most."""

    input_tokens = serializers.IntegerField()
    max_cost_usd = serializers.CharField(help_text="Never less than what is then held. Dollars, as an exact decimal.")
    fits = serializers.BooleanField(help_text="Whether it would be sent now.")
    tier = serializers.ChoiceField(Tier.choices)
    model = serializers.CharField()
    output_cap = serializers.IntegerField(help_text="Tokens that the answer may have with what is left now.")
    context: Any = ReplyContextSerializer()
    budget = ReplyBudgetSerializer()
    refusal = serializers.DictField(
        allow_null=True, help_text="Where it does not fit: the error that a send would get."
    )


class ConversationUsageSerializer(serializers.Serializer[Any]):
    """What a conversation has cost so far, all its branches and its name included."""

    cost_usd = serializers.CharField()
    held_usd = serializers.CharField(help_text="Set aside for an answer that is being written.")
    calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    estimated = serializers.BooleanField(help_text="Whether a part of it was counted from the text.")


class TextPartSerializer(serializers.Serializer[Any]):
    """A piece of a text."""

    text = serializers.CharField()
    hit = serializers.BooleanField(help_text="It is what was searched for.")


class HitSerializer(serializers.Serializer[Any]):
    """A conversation that was found."""

    conversation = ConversationSerializer()
    title = TextPartSerializer(many=True)
    message = serializers.UUIDField(
        allow_null=True, help_text="Its newest message with the words; null: only the title."
    )
    role = serializers.ChoiceField(Message.Role.choices, allow_null=True)
    current = serializers.BooleanField(help_text="Whether that message is on the current branch.")
    text = TextPartSerializer(many=True, help_text="The message around the hit.")


class FoundSerializer(serializers.Serializer[Any]):
    """A page of hits."""

    results = HitSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="The address of the next page.")


class SiblingSerializer(MessageSerializer):
    """One of the messages that share a parent."""

    current = serializers.BooleanField(help_text="Whether it is on the current branch.")
