"""Where a question and its answer go in the tree; all under the lock on their conversation's row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Case, F, Value, When
from django.utils.html import format_html

from accounts.errors import NotFound
from billing.prices import Price
from conversations import branch, context, fitting, titles
from conversations.branch import Parent
from conversations.models import Conversation, Message
from conversations.sending import Send
from conversations.tokens import tokenizer


def touch(request: Send, conversation: Conversation, now: datetime) -> None:
    """Bring the conversation to the top, named where it has no name. NotFound where it has just been deleted."""
    fields: dict[str, Any] = {"updated_at": now}
    if not conversation.title:
        name = titles.first_words(request.content)
        fields["title"] = Case(When(title="", then=Value(name)), default=F("title"))
        conversation.title = name
    if not Conversation.objects.of(request.user).filter(pk=conversation.pk).update(**fields):
        raise NotFound
    conversation.updated_at = now


def place(
    request: Send, conversation: Conversation, price: Price, tokens: int, now: datetime
) -> tuple[Message, context.Context]:
    """Fit the question and write it where it belongs, the current branch ending with it."""
    question = _question(request, conversation, price, tokens, now)
    fitted = fitting.fit(
        system_prompt=conversation.system_prompt,
        parent=question.parent,
        content=question.content,
        tokens=fitting.tokens_of(question, tokenizer(price.tokenizer)),
        price=price,
    )
    if request.regenerate is not None:
        branch.end_at(conversation, question)
    else:
        if request.parent is not Parent.TIP:
            branch.end_at(conversation, question.parent)
        question.save(force_insert=True)
    return question, fitted


def _question(request: Send, conversation: Conversation, price: Price, tokens: int, now: datetime) -> Message:
    """The message to answer: one that is there already, or a new one, not yet written."""
    if request.regenerate is not None:
        questions = conversation.messages.filter(role=Message.Role.USER).select_related("parent")
        question = questions.filter(pk=request.regenerate).first()
        if question is None:
            raise NotFound
        return question
    parent = branch.place(conversation, request.parent)
    return Message(
        conversation=conversation,
        parent=parent,
        depth=0 if parent is None else parent.depth + 1,
        role=Message.Role.USER,
        content=request.content,
        html=format_html("<p>{}</p>", request.content),
        token_count=tokens,
        tokenizer=tokenizer(price.tokenizer).name,
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
