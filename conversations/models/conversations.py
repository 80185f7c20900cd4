"""A user's conversations."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

LONGEST_SYSTEM_PROMPT = 20_000  # characters


def new_id() -> uuid.UUID:
    """A UUIDv7: in order of time, so that new rows lie together in the index."""
    return uuid7()


class Tier(models.TextChoices):
    """Which of the two models answers."""

    FAST = "fast", _("Fast")
    SMART = "smart", _("Smart")


class Source(models.TextChoices):
    """Whose export a conversation came in."""

    CHATGPT = "chatgpt", _("ChatGPT")
    OPEN_WEBUI = "openwebui", _("Open WebUI")
    OWN = "own", _("Company chat")


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Conversations."""

    def of(self, user: Any) -> ConversationQuerySet:
        """A user's own that are not deleted; anything else does not exist for them."""
        return self.filter(user=user, deleted_at=None)


class Conversation(models.Model):
    """A user's thread of messages: a tree, of which one branch is current."""

    class TitleSource(models.TextChoices):
        MODEL = "model", _("a model")
        PERSON = "person", _("its user")

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.PROTECT, related_name="conversations"
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    title_source = models.CharField(_("title source"),
        max_length=6, choices=TitleSource, blank=True, default="", db_default="",
        help_text=_("Who gave the title; empty: it is the first question's beginning."),
    )  # fmt: skip
    title_record = models.OneToOneField(
        "billing.UsageRecord", verbose_name=_("title record"), null=True, on_delete=models.PROTECT,
        related_name="named_conversation",
        help_text=_("The call that was to name it."),
    )  # fmt: skip
    system_prompt = models.TextField(_("system prompt"), blank=True, max_length=LONGEST_SYSTEM_PROMPT)
    tier = models.CharField(_("tier"), max_length=5, choices=Tier, default=Tier.FAST)
    archived = models.BooleanField(_("archived"), default=False)
    pinned = models.BooleanField(_("pinned"), default=False, db_default=False)
    temporary = models.BooleanField(
        _("temporary"), default=False, db_default=False, help_text=_("Keeps no text, but what it cost.")
    )
    deleted_at = models.DateTimeField(
        _("deleted at"), null=True, help_text=_("Since when it waits to be deleted; until then it can be undone.")
    )
    source = models.CharField(
        _("source"),
        max_length=10,
        choices=Source,
        blank=True,
        default="",
        db_default="",
        help_text=_("Where it was imported from."),
    )
    source_id = models.CharField(
        _("source id"), max_length=200, blank=True, default="", db_default="", help_text=_("Its id there.")
    )
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    objects = ConversationQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
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
