"""The chat's pages. What moves on them comes through the API and the socket; without scripts, forms do."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import NotFound, Refusal
from accounts.models import User
from accounts.requests import address_of
from billing.access import may_read_reports
from billing.purse import purse
from conversations import plain, search, thread, tiers
from conversations.models import Conversation, Message, Tier, new_id
from conversations.pool import in_database
from conversations.sidebar import listing

SEARCH_LIMIT = 200  # characters


@require_safe
@login_required
def chat(request: HttpRequest) -> HttpResponse:
    """A new chat; with `?q=` what a search finds, with `?before=` older conversations, with `?archived` those."""
    now, user = timezone.now(), _user(request)
    words, before = request.GET.get("q", "").strip()[:SEARCH_LIMIT], request.GET.get("before", "")
    archived = "archived" in request.GET
    with timezone.override(settings.BILLING_TIME_ZONE):
        if words:
            found = search.find(user=user, text=words, before=before)
            context = {"found": found, "search": words}
        elif before or archived:
            context = {"older": listing(user=user, now=now, before=before, archived=archived), "archived": archived}
        else:
            context = {**_new_chat(user, now=now), "temporary": "temporary" in request.GET}
            return render(request, "conversations/chat.html", context)
        return render(request, "conversations/found.html", {**_frame(user, now=now), **context})


@require_safe
@login_required
def conversation(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """A conversation's newest messages; with `?before=<depth>` those above it, with `?at=<depth>` those around it."""
    with timezone.override(settings.BILLING_TIME_ZONE):
        context = _chat(
            _user(request),
            conversation_id,
            now=timezone.now(),
            before=_depth(request, "before"),
            at=_depth(request, "at"),
        )
        return render(request, "conversations/chat.html", context)


@require_safe
@login_required
def side(request: HttpRequest) -> HttpResponse:
    """The sidebar's list and purse alone, for a page that is open and has seen something change."""
    context = _frame(_user(request), now=timezone.now())
    own = Conversation.objects.of(request.user).select_related("title_record")
    try:
        current = own.get(pk=uuid.UUID(request.GET.get("c", "")))
    except (ValueError, Conversation.DoesNotExist):
        pass  # a page without a conversation, or one that is gone: its list and purse are right all the same
    else:
        context |= {"conversation": current, "cost": thread.cost(conversation=current)}
    with timezone.override(settings.BILLING_TIME_ZONE):
        return render(request, "conversations/_side.html", context)


@require_POST
async def send(request: HttpRequest, conversation_id: uuid.UUID | None = None) -> HttpResponse:
    """Send by a plain form: wait for the whole answer, then show it. A refusal shows the page with the text kept."""
    user = await in_database(_signed_in, request)
    if user is None:
        return redirect_to_login(reverse("conversation", args=[conversation_id]) if conversation_id else "/")
    form = plain.Form(
        content=request.POST.get("content", "").replace("\r\n", "\n"),
        tier=request.POST.get("tier") or None,
        key=request.POST.get("key") or None,
        new=None if conversation_id else request.POST.get("conversation", ""),
    )
    try:
        reply = await plain.send(
            form,
            user=user,
            address=address_of(
                forwarded=request.headers.get("X-Forwarded-For", ""), peer=request.META.get("REMOTE_ADDR", "")
            ),
            conversation_id=conversation_id,
            clock=timezone.now,
        )
    except NotFound:
        raise Http404 from None
    except Refusal as refusal:
        return await in_database(_refused, request, user, conversation_id, form, refusal)
    place = reverse("conversation", args=[reply.conversation_id])
    return HttpResponse(status=303, headers={"Location": f"{place}#by-{reply.pk}"})


def _refused(
    request: HttpRequest, user: User, conversation_id: uuid.UUID | None, form: plain.Form, refusal: Refusal
) -> HttpResponse:
    now = timezone.now()
    with timezone.override(settings.BILLING_TIME_ZONE):
        context = _chat(user, conversation_id, now=now) if conversation_id else _new_chat(user, now=now)
        context |= {"sentence": refusal.message, "kept": form.content, "tier": form.tier or context["tier"]}
        if form.key:
            context |= {"key": form.key, "new": form.new or context.get("new", "")}
        page = render(request, "conversations/chat.html", context, status=refusal.status)
    for name, value in refusal.headers().items():
        page.headers[name] = value
    return page


def _new_chat(user: User, *, now: datetime) -> dict[str, Any]:
    return {
        **_frame(user, now=now), "tiers": tiers.choices(now=now), "tier": Tier.FAST, "at_end": True,
        "key": uuid.uuid4(), "new": new_id(),
    }  # fmt: skip


def _depth(request: HttpRequest, name: str) -> int | None:
    value = request.GET.get(name, "")
    return int(value) if value.isdecimal() and value.isascii() and len(value) < 10 else None


def _chat(
    user: User, conversation_id: uuid.UUID, *, now: datetime, before: int | None = None, at: int | None = None
) -> dict[str, Any]:
    own = Conversation.objects.of(user).select_related("title_record")
    found = get_object_or_404(own, pk=conversation_id)
    page = thread.page(conversation=found, before=before)
    if at is not None and page.messages and at < page.messages[0].depth:
        before = at + thread.PAGE // 2
        page = thread.page(conversation=found, before=before)
    return {
        **_frame(user, now=now),
        "conversation": found,
        "thread": page,
        "cost": thread.cost(conversation=found),
        "running": any(message.status == Message.Status.GENERATING for message in page.messages),
        "tiers": tiers.choices(now=now),
        "tier": found.tier,
        "at_end": before is None,
        "key": uuid.uuid4(),
    }


def _frame(user: User, *, now: datetime) -> dict[str, Any]:
    with timezone.override(settings.BILLING_TIME_ZONE):
        return {
            "list": listing(user=user, now=now),
            "purse": purse(user=user, now=now),
            "administrator": settings.ADMINISTRATOR_EMAIL,
            "reads_reports": partial(may_read_reports, user),  # asked by the template, on whole pages alone
        }


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


def _signed_in(request: HttpRequest) -> User | None:
    """Who asks, read here and now, so that no connection is kept while the answer is written."""
    return _user(request) if request.user.is_authenticated else None
