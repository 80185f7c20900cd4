"""Conversations and messages, for reading. Their text needs a permission of its own."""

from typing import Any

from django.contrib import admin
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import ReadOnlyAdmin
from conversations.models import Conversation, Delta, ImportPart, ImportRun, Message

READ_TEXT = "conversations.view_message_text"


class TextHidingAdmin(ReadOnlyAdmin):
    """Shows what people wrote only to those who hold the permission to read it."""

    text_fields: tuple[str, ...] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every field, less the text for those who may not read it."""
        names = [field.name for field in self.opts.fields]
        if request.user.has_perm(READ_TEXT):
            return names
        return [name for name in names if name not in self.text_fields]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Nor does an address ask for it: which rows a list then shows would say, piece by piece, what is in them."""
        asked = set(lookup.split(LOOKUP_SEP))
        if not request.user.has_perm(READ_TEXT) and not asked.isdisjoint(self.text_fields):
            return False
        return super().lookup_allowed(lookup, value, request)


@admin.register(Conversation)
class ConversationAdmin(TextHidingAdmin):
    """Whose conversations there are, and how they are used."""

    text_fields = ("title", "system_prompt")
    list_display = ("created_at", "user", "tier", "archived", "updated_at", "id")
    list_select_related = ("user",)
    list_filter = ("tier", "archived")
    search_fields = ("user__email__startswith",)
    search_help_text = _("The beginning of the user's e-mail address.")
    ordering = ("-pk",)


@admin.register(Message)
class MessageAdmin(TextHidingAdmin):
    """What became of each message: status, model, tokens, error."""

    text_fields = ("content", "html", "fingerprint")  # by the last, whoever guesses a text sees that it is right
    list_display = ("created_at", "user", "role", "status", "tier", "model", "token_count", "ended_at", "id")
    list_select_related = ("conversation__user",)
    list_filter = ("role", "status", "tier")
    search_fields = ("conversation__user__email__startswith",)
    search_help_text = _("The beginning of the user's e-mail address.")
    ordering = ("-pk",)

    @admin.display(description=_("user"))
    def user(self, message: Message) -> str:
        """Whose it is."""
        return str(message.conversation.user)


@admin.register(Delta)
class DeltaAdmin(TextHidingAdmin):
    """The logs of replies that run now."""

    text_fields = ("content",)
    list_display = ("message_id", "start", "end")
    ordering = ("-pk",)


@admin.register(ImportRun)
class ImportRunAdmin(TextHidingAdmin):
    """The files that people brought in, and what became of them; titles in the reasons are text of theirs."""

    text_fields = ("file_name", "reasons")
    list_display = ("created_at", "user", "state", "size", "done", "added", "existing", "skipped", "finished_at", "id")
    list_select_related = ("user",)
    list_filter = ("state",)
    search_fields = ("user__email__startswith",)
    search_help_text = _("The beginning of the user's e-mail address.")
    ordering = ("-pk",)


@admin.register(ImportPart)
class ImportPartAdmin(TextHidingAdmin):
    """Pieces of files that wait to be imported."""

    text_fields = ("content",)
    list_display = ("id", "run_id", "number")
    ordering = ("-pk",)
