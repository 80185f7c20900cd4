"""What a person asks for when they send."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest
from accounts.models import User
from accounts.requests import UNSTORABLE
from accounts.statements import Statement
from conversations.branch import Parent
from conversations.models import Tier

LONGEST_MESSAGE = 1_000_000  # characters; the token limit is lower, but counting takes time
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A user's request for a reply: to a new message, or again to the question `regenerate`."""

    user: User
    address: str
    conversation_id: UUID
    content: str = ""
    tier: str | None = None
    parent: UUID | Parent | None = Parent.TIP
    regenerate: UUID | None = None
    key: str | None = None
    token_id: int | None = None  # the personal token that asks, where one does
    # Where the door has not looked just now: what answers with a row while the session that asks still holds.
    still: Callable[[datetime], Statement] | None = None

    def fingerprint(self) -> str:
        """SHA-256 of what is asked for, without who asks and when."""
        asked = [self.content, self.tier, str(self.parent), str(self.regenerate)]
        return hashlib.sha256(orjson.dumps(asked)).hexdigest()


def check(request: Send) -> None:
    """Raise InvalidRequest where a request cannot be granted as it stands, whatever is in the database."""
    fields: dict[str, list[str]] = {}
    if request.regenerate is None and not request.content.strip():
        fields["content"] = ["Write a message first."]
    if len(request.content) > LONGEST_MESSAGE:
        fields["content"] = [f"At most {LONGEST_MESSAGE:,} characters."]
    if UNSTORABLE.search(request.content):
        fields["content"] = ["The message holds a character (U+0000, or half of one) that cannot be stored."]
    if request.tier is not None and request.tier not in Tier.values:
        fields["tier"] = ["Either fast or smart."]
    if request.key is not None and not (0 < len(request.key) <= LONGEST_KEY and request.key.isprintable()):
        fields["key"] = [f"Between 1 and {LONGEST_KEY} printable characters."]
    if fields:
        raise InvalidRequest(_("The message cannot be sent as it is; see `fields`."), fields=fields)
