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


class Source(models.TextChoices):
    """Whose export a conversation came in."""

    CHATGPT = "chatgpt", "ChatGPT"
    OPEN_WEBUI = "openwebui", "Open WebUI"
    OWN = "own", "Company chat"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Conversations."""

    def of(self, user: Any) -> ConversationQuerySet:
        """A user's own that are not deleted; anything else does not exist for them."""
        return self.filter(user=user, deleted_at=None)


class Conversation(models.Model):
    """A user's thread of messages: a tree, of which one branch is current."""

    class TitleSource(models.TextChoices):
        MODEL = "model", "a model"
        PERSON = "person", "its user"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="conversations")
    title = models.CharField(max_length=200, blank=True)
    title_source = models.CharField(
        max_length=6, choices=TitleSource, blank=True, default="", db_default="",
        help_text="Who gave the title; empty: it is the first question's beginning.",
    )  # fmt: skip
    title_record = models.OneToOneField(
        "billing.UsageRecord", null=True, on_delete=models.PROTECT, related_name="named_conversation",
        help_text="The call that was to name it.",
    )  # fmt: skip
    system_prompt = models.TextField(blank=True, max_length=20_000)
    tier = models.CharField(max_length=5, choices=Tier, default=Tier.FAST)
    archived = models.BooleanField(default=False)
    pinned = models.BooleanField(default=False, db_default=False)
    temporary = models.BooleanField(default=False, db_default=False, help_text="Keeps no text, but what it cost.")
    deleted_at = models.DateTimeField(
        null=True, help_text="Since when it waits to be deleted; until then it can be undone."
    )
    source = models.CharField(
        max_length=10, choices=Source, blank=True, default="", db_default="", help_text="Where it was imported from."
    )
    source_id = models.CharField(max_length=200, blank=True, default="", db_default="", help_text="Its id there.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = ConversationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "source", "source_id"], condition=~Q(source=""), name="conversation_imported_once"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "archived", "-updated_at", "-id"], name="conversation_list"),
            models.Index(fields=["user"], condition=Q(pinned=True), name="conversation_pinned"),
            models.Index(
                fields=["updated_at"],
                condition=Q(temporary=True) | Q(deleted_at__isnull=False),
                name="conversation_purge",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class MessageQuerySet(models.QuerySet["Message"]):
    """Messages."""

    def of(self, user: Any) -> MessageQuerySet:
        """Those of a user's own conversations that are not deleted."""
        return self.filter(conversation__user=user, conversation__deleted_at=None)

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


class ImportRun(models.Model):
    """One file that a person brought in: how far it is, and what became of its conversations."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="imports")
    file_name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField(help_text="Bytes of the file.")
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    total = models.PositiveIntegerField(null=True, help_text="Conversations in the file; null until it is checked.")
    done = models.PositiveIntegerField(default=0, help_text="Conversations dealt with: the sum of the next three.")
    added = models.PositiveIntegerField(default=0)
    existing = models.PositiveIntegerField(default=0, help_text="Were here already.")
    skipped = models.PositiveIntegerField(default=0, help_text="Could not be read.")
    reasons = models.JSONField(default=list, help_text="Why some were skipped: title and reason of the first ones.")
    error = models.TextField(blank=True, help_text="Why nothing, or nothing more, of the file was taken.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a worker began.")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    lease_owner = models.UUIDField(null=True, help_text="The worker that imports it.")
    lease_expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(state__in=("waiting", "running")), name="importrun_one_at_once"
            ),
            models.CheckConstraint(
                name="importrun_running_is_leased",
                condition=Q(state="running", lease_owner__isnull=False, lease_expires_at__isnull=False)
                | ~Q(state="running") & Q(lease_owner=None, lease_expires_at=None),
            ),
            models.CheckConstraint(
                name="importrun_finished_says_when",
                condition=Q(state__in=("done", "failed"), finished_at__isnull=False)
                | ~Q(state__in=("done", "failed")) & Q(finished_at=None),
            ),
            models.CheckConstraint(
                name="importrun_adds_up",
                condition=Q(done=models.F("added") + models.F("existing") + models.F("skipped")),
            ),
        ]
        indexes = [models.Index(fields=["user", "-id"], name="importrun_list")]

    def __str__(self) -> str:
        return str(self.id)


class ImportPart(models.Model):
    """A piece of an uploaded file; web and worker share nothing but the database. Goes when the run ends."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="importpart_once")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.number}"
