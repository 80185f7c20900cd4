"""Who sends a mail owes it first, so that nobody's request waits for a mail server or fails with it."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

from billing import notices
from billing.tasks import ask_for_mails


class EmailBackend(BaseEmailBackend):
    """Where Django, and what stands on it, leaves mails: plain text, from the site, each to the address it names."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Owe each, and have it sent soon; how many there are. Raises ValueError for what would lose a part."""
        for message in email_messages:
            if getattr(message, "alternatives", None) or message.attachments or message.content_subtype != "plain":
                raise ValueError("only a plain text is kept until a mail is sent")
        for message in email_messages:
            for address in message.recipients():
                notices.owe(to=address, subject=str(message.subject), text=str(message.body), now=timezone.now())
        ask_for_mails()
        return len(email_messages)
