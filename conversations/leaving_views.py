"""The pages of one's own data and of the way out. `urlpatterns` go at the root."""

from __future__ import annotations

from typing import cast

from allauth.account.decorators import reauthentication_required
from asgiref.sync import async_to_sync
from django import forms
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.errors import Refusal
from accounts.models import User
from conversations import leaving


class LeavingForm(forms.Form):
    """Asks whether it is meant."""

    sure = forms.BooleanField(label=gettext_lazy("Delete my account and everything that I wrote. I cannot undo this."))


@require_safe
@login_required
def data(request: HttpRequest) -> HttpResponse:
    """What is kept, and how to take it away."""
    return render(request, "account/data.html")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
@reauthentication_required(allow_get=True)  # type: ignore[untyped-decorator]
def delete(request: HttpRequest) -> HttpResponse:
    """Say what goes and what stays; then, by one who has shown again who they are, let it go."""
    form = LeavingForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            async_to_sync(leaving.leave)(user=cast("User", request.user), now=timezone.now())
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            logout(request)
            return redirect("account_deleted")
    return render(request, "account/delete.html", {"form": form}, status=400 if form.errors else 200)


@require_safe
def deleted(request: HttpRequest) -> HttpResponse:
    """Goodbye."""
    return render(request, "account/deleted.html")


urlpatterns = [
    path("accounts/data/", data, name="account_data"),
    path("accounts/delete/", delete, name="account_delete"),
    path("accounts/deleted/", deleted, name="account_deleted"),
]
