"""A user's conversations and the tree of messages in each."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A UUIDv7: in order of time, so that new rows lie together in the index."""
    return uuid7()


class Tier(models.TextChoices):
    """Which of the two models answers."""

    FAST = "fast", "Fast"
    SMART = "smart", "Smart"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Conversations."""

    def of(self, user: Any) -> ConversationQuerySet:
        """A user's own; anyone else's do not exist for them."""
        return self.filter(user=user)

    def search(self, words: str) -> ConversationQuerySet:
        """Those with the words in their title or in their text; all where there are no words."""
        words = words.strip().replace("\x00", "")[:200]
        if not words:
            return self
        said = Message.objects.filter(conversation=models.OuterRef("pk"), content__icontains=words)
        return self.filter(Q(title__icontains=words) | models.Exists(said))


class Conversation(models.Model):
    """A user's thread of messages: a tree, of which one branch is current."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="conversations")
    title = models.CharField(max_length=200, blank=True)
    system_prompt = models.TextField(blank=True, max_length=20_000)
    tier = models.CharField(max_length=5, choices=Tier, default=Tier.FAST)
    archived = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = ConversationQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "archived", "-updated_at", "-id"], name="conversation_list")]

    def __str__(self) -> str:
        return str(self.id)


class MessageQuerySet(models.QuerySet["Message"]):
    """Messages."""

    def of(self, user: Any) -> MessageQuerySet:
        """Those of a user's own conversations."""
        return self.filter(conversation__user=user)

    def current(self) -> MessageQuerySet:
        """Those on their conversation's current branch, oldest first."""
        return self.filter(current=True).order_by("depth")

    def generating(self) -> MessageQuerySet:
        """Replies that still run, or whose process died."""
        return self.filter(status=Message.Status.GENERATING)


class Message(models.Model):
    """One entry of a conversation. An assistant message is the product of one reply."""

    class Role(models.TextChoices):
        USER = "user", "user"
        ASSISTANT = "assistant", "assistant"

    class Status(models.TextChoices):
        GENERATING = "generating", "generating"
        COMPLETE = "complete", "complete"
        STOPPED = "stopped", "stopped"
        INTERRUPTED = "interrupted", "interrupted"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    depth = models.PositiveIntegerField(help_text="How many messages lie above it on its branch.")
    current = models.BooleanField(default=True, help_text="On the conversation's current branch.")
    role = models.CharField(max_length=9, choices=Role)
    content = models.TextField(blank=True)
    html = models.TextField(blank=True, help_text="The content, rendered.")
    token_count = models.PositiveIntegerField(default=0, help_text="Of the content, by the tokenizer named.")
    tokenizer = models.CharField(max_length=30, blank=True)
    status = models.CharField(max_length=11, choices=Status, default=Status.COMPLETE)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    # Of replies only
    tier = models.CharField(max_length=5, choices=Tier, blank=True)
    model = models.CharField(max_length=100, blank=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    error = models.JSONField(null=True, help_text="Code and details, where the reply failed.")
    context = models.JSONField(null=True, help_text="What was sent: prompt_tokens, limit, included and dropped.")
    idempotency_key = models.CharField(max_length=255, null=True)
    fingerprint = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the request the key stands for.")
    usage_record = models.OneToOneField(
        "billing.UsageRecord", null=True, on_delete=models.PROTECT, related_name="message"
    )
    lease_owner = models.UUIDField(null=True, help_text="The process that writes the reply.")
    lease_expires_at = models.DateTimeField(null=True)
    stop_requested_at = models.DateTimeField(null=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        permissions = [("view_message_text", "Can read message text")]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"], condition=Q(status="generating"), name="message_one_reply_at_once"
            ),
            models.UniqueConstraint(
                fields=["conversation", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="message_idempotency_key",
            ),
            models.UniqueConstraint(
                fields=["conversation", "depth"], condition=Q(current=True), name="message_one_current_branch"
            ),
            models.CheckConstraint(
                name="message_root_has_no_parent",
                condition=Q(depth=0, parent=None) | Q(depth__gt=0, parent__isnull=False),
            ),
            models.CheckConstraint(
                name="message_question_is_complete", condition=Q(role="assistant") | Q(role="user", status="complete")
            ),
            models.CheckConstraint(
                name="message_generating_is_leased",
                condition=Q(
                    status="generating",
                    lease_owner__isnull=False,
                    lease_expires_at__isnull=False,
                    usage_record__isnull=False,
                    ended_at=None,
                )
                | ~Q(status="generating") & Q(lease_owner=None, lease_expires_at=None),
            ),
        ]
        indexes = [
            models.Index(fields=["lease_expires_at"], condition=Q(status="generating"), name="message_lease"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be written to it."""
        return self.status != self.Status.GENERATING


class Delta(models.Model):
    """A piece of a running reply's text: the log's home in the database."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deltas")
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    content = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "start"], name="delta_once"),
            models.CheckConstraint(condition=Q(end__gt=models.F("start")), name="delta_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} {self.start}-{self.end}"
