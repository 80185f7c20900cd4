"""The mail server, as mails that are owed need it: whether it may have taken one that it said nothing about."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail.backends import smtp


class Unanswered(Exception):
    """The whole mail may have reached the server, which went away or fell silent before it said so."""


class _SMTP(smtplib.SMTP):
    def data(self, msg: Any) -> tuple[int, bytes]:
        try:
            return super().data(msg)
        except smtplib.SMTPServerDisconnected as error:  # a silence that is too long is one too
            raise Unanswered(str(error)) from error


class EmailBackend(smtp.EmailBackend):
    """Django's, which raises Unanswered where nobody knows whether a mail was sent."""

    connection_class = _SMTP
