"""Admit: what is looked at before a message is granted, and again under the locks that hold while it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.errors import InvalidRequest, NotAuthenticated, NotFound, Refusal
from accounts.models import User
from accounts.statements import Found, Statement, columns, loaded, run
from accounts.tokens import holding
from billing import enforcement, ledger, prices
from billing.prices import Price
from conversations import branch, limits, placing, sending
from conversations.models import Conversation, Tier
from conversations.sending import Send

# Read once by id and once by key: whose the conversation is has been looked at before.
_OWN = """
SELECT {columns} FROM conversations_conversation AS conversation
WHERE id = %s AND user_id = %s AND deleted_at IS NULL
"""
_EARLIER = "SELECT id FROM conversations_message WHERE conversation_id = %s AND idempotency_key = %s"
_RUNNING = """
SELECT message.id, message.conversation_id FROM conversations_message AS message
JOIN conversations_conversation AS conversation ON conversation.id = message.conversation_id
WHERE message.status = 'generating' AND conversation.user_id = %s AND conversation.deleted_at IS NULL LIMIT %s
"""


class ReplyInProgress(Refusal):
    """The conversation's last answer is still being written."""

    code, status = "reply_in_progress", 409


class Repeated(NotFound):
    """A request with the same key has been granted before; if nothing is found of it any more, it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A message that may be granted: where it goes, which model answers, and what that costs."""

    conversation: Conversation
    tier: str
    model: str
    price: Price


def look(request: Send, *, now: datetime) -> Request:
    """What a message asks for, in one round trip.

    Raises InvalidRequest, NotFound, Repeated or UnpricedModel; NotAuthenticated where the session, or the token, that
    asks holds no longer.
    """
    own = Statement(
        _OWN.format(columns=columns(Conversation, "conversation")), [request.conversation_id, request.user.pk]
    )
    try:
        sending.check(request)
    except InvalidRequest:
        if not _ask(request, now, own)[0].rows:
            raise NotFound from None
        raise
    models = {tier: settings.CHAT_MODELS[tier] for tier in ([request.tier] if request.tier else Tier.values)}
    found, earlier, *offers = _ask(
        request,
        now,
        own,
        Statement(_EARLIER, [request.conversation_id, request.key]),
        *(Price.in_force_statement(model=model, at=now) for model in models.values()),
    )
    if not found.rows:
        raise NotFound
    if earlier.rows:
        raise Repeated
    conversation = loaded(Conversation, found.rows[0])
    tier = request.tier or conversation.tier
    rows = dict(zip(models, offers, strict=True))[tier].rows
    price = prices.checked(Price.in_rows(rows), model=models[tier], now=now)
    return Request(conversation=conversation, tier=tier, model=models[tier], price=price)


def _ask(request: Send, now: datetime, *statements: Statement) -> list[Found]:
    """What statements find, where that still holds by which the door knew who sends. Raises NotAuthenticated."""
    shown = [] if request.still is None else [request.still(now)]
    if request.token_id is not None:
        shown = holding(token_id=request.token_id, now=now)
    found = run(*statements, *shown)
    if shown and not found[-1].rows:
        raise NotAuthenticated(_("Sign in, or send a valid personal token."))
    return found[: len(statements)]


def check(request: Send, *, now: datetime) -> None:
    """Raise what speaks against a message for now, beside how many there were."""
    state = enforcement.account_state(user=request.user, now=now)
    if state.disabled:
        raise state.refusal()
    try:
        _check_running(run(_running(request.user))[0].rows, request.conversation_id)
    except limits.RateLimited as refusal:
        own = Conversation.objects.filter(pk=request.conversation_id).values_list("tier", flat=True)
        tier = request.tier or own.first() or Tier.FAST
        refusal.allowance = limits.standing(user=request.user, address=request.address, tier=tier)
        raise


def lock(request: Send, conversation: Conversation, *, now: datetime) -> tuple[Sequence[Any], Sequence[Found]]:
    """Lock the user's account, so that one user's sends come one by one, and the conversation, whose branch grows.

    What is read after the locks holds to the end of the transaction. Brings the conversation to the top; the rows of
    `branch.newest`, and the answers to what a hold asks first. Raises AccountDisabled, Repeated, ReplyInProgress,
    RateLimited or NotFound.
    """
    _, account, earlier, running, touched, newest, *answers = run(
        *enforcement.locking(user=request.user),
        Statement(_EARLIER, [conversation.pk, request.key]),
        _running(request.user),
        placing.touching(request, conversation, now),
        branch.newest(conversation),
        *ledger.reading(user=request.user, now=now),
    )
    enforcement.check_account(account.rows[0], user=request.user, now=now)
    if earlier.rows:
        raise Repeated
    _check_running(running.rows, conversation.pk)
    if not touched.rows:
        raise NotFound  # it has just been deleted
    conversation.title, conversation.updated_at = touched.rows[0][0], now
    return newest.rows, answers


def _running(user: User) -> Statement:
    return Statement(_RUNNING, [user.pk, settings.CHAT_REPLIES_AT_ONCE + 1])


def _check_running(rows: Sequence[Any], conversation_id: UUID) -> None:
    for message_id, where in rows:
        if UUID(str(where)) == conversation_id:
            raise ReplyInProgress(
                _("The answer before this one is still being written. Wait for it, or stop it."),
                message_id=str(UUID(str(message_id))),
            )
    if len(rows) >= settings.CHAT_REPLIES_AT_ONCE:
        raise limits.RateLimited(
            ngettext(
                "%(count)d answer is being written for you, and more at once are not. Wait for it, or stop it.",
                "%(count)d answers are being written for you, and more at once are not. Wait for one, or stop one.",
                len(rows),
            )
            % {"count": len(rows)},
            retry_after=5,
        )
