"""Where a question and its answer go in the tree; all under the lock on their conversation's row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.html import format_html

from accounts.errors import NotFound
from accounts.statements import Statement, insert
from billing.prices import Price
from conversations import branch, context, fitting, titles
from conversations.branch import Parent
from conversations.models import Conversation, Message
from conversations.sending import Send
from conversations.tokens import tokenizer


def touching(request: Send, conversation: Conversation, now: datetime) -> Statement:
    """What brings the conversation to the top, named where it has no name, and locks it; finds none that is deleted."""
    return Statement(
        "UPDATE conversations_conversation SET updated_at = %s, title = CASE title WHEN '' THEN %s ELSE title END"
        " WHERE id = %s AND user_id = %s AND deleted_at IS NULL RETURNING title",
        [now, titles.first_words(request.content), conversation.pk, request.user.pk],
    )


def place(
    request: Send, conversation: Conversation, price: Price, tokens: int, now: datetime, newest: Sequence[Any]
) -> tuple[Message, context.Context, list[Statement]]:
    """Fit the question where it belongs, the current branch ending with it; what remains to be done to write it.

    `newest`: the rows of `branch.newest`.
    """
    words = tokenizer(price.tokenizer)
    above: Iterable[branch.Above] | None = None
    if request.regenerate is not None:
        question = _asked(request.regenerate, conversation)
    else:
        parent, above = branch.window(newest)
        if request.parent is not Parent.TIP:
            parent, above = branch.place(conversation, request.parent), None
        question = _question(request, conversation, parent, tokens, words.name, now)
    fitted = fitting.fit(
        system_prompt=conversation.system_prompt,
        parent=question.parent,
        content=question.content,
        tokens=fitting.tokens_of(question, words),
        price=price,
        above=above,
    )
    if request.regenerate is not None:
        branch.end_at(conversation, question)
        return question, fitted, []
    if request.parent is not Parent.TIP:
        branch.end_at(conversation, question.parent)
    return question, fitted, [insert(question)]


def _asked(message_id: UUID, conversation: Conversation) -> Message:
    """The question that is to be answered again."""
    questions = conversation.messages.filter(role=Message.Role.USER).select_related("parent")
    question = questions.filter(pk=message_id).first()
    if question is None:
        raise NotFound
    return question


def _question(
    request: Send, conversation: Conversation, parent: Message | None, tokens: int, tokenizer: str, now: datetime
) -> Message:
    """The new question, not yet written."""
    return Message(
        conversation=conversation,
        parent=parent,
        depth=0 if parent is None else parent.depth + 1,
        role=Message.Role.USER,
        content=request.content,
        html=format_html("<p>{}</p>", request.content),
        token_count=tokens,
        tokenizer=tokenizer,
        created_at=now,
    )


def reply(request: Send, question: Message, price: Price, tier: str, now: datetime) -> Message:
    """The empty answer, not yet written."""
    return Message(
        conversation=question.conversation,
        parent=question,
        depth=question.depth + 1,
        role=Message.Role.ASSISTANT,
        status=Message.Status.GENERATING,
        tier=tier,
        model=price.model,
        idempotency_key=request.key,
        fingerprint=request.fingerprint() if request.key else "",
        created_at=now,
    )
