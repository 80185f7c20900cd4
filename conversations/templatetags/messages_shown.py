"""How templates write a message."""

from django import template
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from conversations.blocks import render_by_blocks
from conversations.events import said
from conversations.models import Message
from conversations.thread import Thread, Versions

register = template.Library()


@register.filter
def answer(message: Message) -> SafeString:
    """An answer's text as HTML: as it was rendered when it ended, else rendered now."""
    return mark_safe(message.html or render_by_blocks(message.content))  # noqa: S308 (the renderer makes it safe)


@register.filter
def versions(thread: Thread | str, message: Message | None) -> Versions | None:
    """Where a message stands among its siblings; None where it has none, or is none yet."""
    return thread.versions.get(message.pk) if isinstance(thread, Thread) and message else None


@register.filter
def failure(message: Message) -> str:
    """The sentence that says why a reply failed."""
    return said(message) or _("The answer failed. What was written before is kept.")
