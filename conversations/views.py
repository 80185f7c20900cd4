"""The chat's pages. What moves on them comes through the API and the socket."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import User
from billing.purse import purse
from conversations import thread, tiers
from conversations.models import Conversation, Message, Tier
from conversations.sidebar import listing

SEARCH_LIMIT = 200  # characters


@require_safe
@login_required
def chat(request: HttpRequest) -> HttpResponse:
    """A new chat; with `?q=` or `?before=` the conversations found, or older ones."""
    now = timezone.now()
    search, before = request.GET.get("q", "").strip()[:SEARCH_LIMIT], request.GET.get("before", "")
    with timezone.override(settings.BILLING_TIME_ZONE):
        context = _frame(request, now=now)
        if search or before:
            found = listing(user=_user(request), now=now, search=search, before=before)
            return render(request, "conversations/found.html", {**context, "found": found, "search": search})
        context |= {"tiers": tiers.choices(now=now), "tier": Tier.FAST, "at_end": True}
        return render(request, "conversations/chat.html", context)


@require_safe
@login_required
def conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """A conversation's newest messages; with `?before=<depth>` those above it."""
    now = timezone.now()
    found = get_object_or_404(Conversation.objects.of(request.user), pk=conversation_id)
    before = request.GET.get("before", "")
    page = thread.page(conversation=found, before=int(before) if before.isdecimal() and len(before) < 10 else None)
    context = {
        "conversation": found,
        "thread": page,
        "cost": thread.cost(conversation=found),
        "running": any(message.status == Message.Status.GENERATING for message in page.messages),
        "tiers": tiers.choices(now=now),
        "tier": found.tier,
        "at_end": not before,
    }
    with timezone.override(settings.BILLING_TIME_ZONE):
        return render(request, "conversations/chat.html", {**_frame(request, now=now), **context})


@require_safe
@login_required
def side(request: HttpRequest) -> HttpResponse:
    """The sidebar's list and purse alone, for a page that is open and has seen something change."""
    context = _frame(request, now=timezone.now())
    try:
        current = Conversation.objects.of(request.user).get(pk=uuid.UUID(request.GET.get("c", "")))
    except (ValueError, Conversation.DoesNotExist):
        pass  # a page without a conversation, or one that is gone: its list and purse are right all the same
    else:
        context |= {"conversation": current, "cost": thread.cost(conversation=current)}
    with timezone.override(settings.BILLING_TIME_ZONE):
        return render(request, "conversations/_side.html", context)


def _frame(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    user = _user(request)
    with timezone.override(settings.BILLING_TIME_ZONE):
        return {
            "list": listing(user=user, now=now),
            "purse": purse(user=user, now=now),
            "administrator": settings.ADMINISTRATOR_EMAIL,
        }


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
