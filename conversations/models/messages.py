"""The tree of messages in each conversation, and the text of those that are being written."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from conversations.models.conversations import Conversation, Tier, new_id


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
        USER = "user", _("user")
        ASSISTANT = "assistant", _("assistant")

    class Status(models.TextChoices):
        GENERATING = "generating", _("generating")
        COMPLETE = "complete", _("complete")
        STOPPED = "stopped", _("stopped")
        INTERRUPTED = "interrupted", _("interrupted")
        FAILED = "failed", _("failed")

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(
        Conversation, verbose_name=_("conversation"), on_delete=models.CASCADE, related_name="messages"
    )
    parent = models.ForeignKey(
        "self", verbose_name=_("parent"), null=True, on_delete=models.CASCADE, related_name="children"
    )
    depth = models.PositiveIntegerField(_("depth"), help_text=_("How many messages lie above it on its branch."))
    current = models.BooleanField(_("current"), default=True, help_text=_("On the conversation's current branch."))
    role = models.CharField(_("role"), max_length=9, choices=Role)
    content = models.TextField(_("content"), blank=True)
    html = models.TextField(_("html"), blank=True, help_text=_("The content, rendered."))
    token_count = models.PositiveIntegerField(
        _("token count"), default=0, help_text=_("Of the content, by the tokenizer named.")
    )
    tokenizer = models.CharField(_("tokenizer"), max_length=30, blank=True)
    status = models.CharField(_("status"), max_length=11, choices=Status, default=Status.COMPLETE)
    created_at = models.DateTimeField(_("created at"))
    ended_at = models.DateTimeField(_("ended at"), null=True)

    # Of replies only
    tier = models.CharField(_("tier"), max_length=5, choices=Tier, blank=True)
    model = models.CharField(_("model"), max_length=100, blank=True)
    finish_reason = models.CharField(_("finish reason"), max_length=40, blank=True)
    error = models.JSONField(_("error"), null=True, help_text=_("Code and details, where the reply failed."))
    context = models.JSONField(
        _("context"), null=True, help_text=_("What was sent: prompt_tokens, limit, included and dropped.")
    )
    idempotency_key = models.CharField(_("idempotency key"), max_length=255, null=True)
    fingerprint = models.CharField(
        _("fingerprint"), max_length=64, blank=True, help_text=_("SHA-256 of the request the key stands for.")
    )
    usage_record = models.OneToOneField(
        "billing.UsageRecord",
        verbose_name=_("usage record"),
        null=True,
        on_delete=models.PROTECT,
        related_name="message",
    )
    lease_owner = models.UUIDField(_("lease owner"), null=True, help_text=_("The process that writes the reply."))
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True)
    stop_requested_at = models.DateTimeField(_("stop requested at"), null=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
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
            models.Index(fields=["conversation", "parent", "created_at", "id"], name="message_versions"),
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

    message = models.ForeignKey(Message, verbose_name=_("message"), on_delete=models.CASCADE, related_name="deltas")
    start = models.PositiveIntegerField(_("start"))
    end = models.PositiveIntegerField(_("end"))
    content = models.TextField(_("content"))

    class Meta:
        verbose_name = _("delta")
        verbose_name_plural = _("deltas")
        constraints = [
            models.UniqueConstraint(fields=["message", "start"], name="delta_once"),
            models.CheckConstraint(condition=Q(end__gt=models.F("start")), name="delta_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} {self.start}-{self.end}"
