"""The page where conversations come in and go out. `urlpatterns` go at the root."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.errors import Refusal
from accounts.models import User
from conversations.api.transfer import begin_import
from conversations.transfer import runs
from conversations.transfer.upload import LARGEST_UPLOAD

SHOWN = 10  # imports


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def transfer(request: HttpRequest) -> HttpResponse:
    """Imports with their progress, and what can be taken away; a plain form sends a file without a script too."""
    user = cast("User", request.user)
    if request.method == "POST":
        error = _begin(request, user)
        if not error:
            return redirect("transfer")
        return _page(request, user, error=error, status=400)
    return _page(request, user)


def _page(request: HttpRequest, user: User, *, error: str = "", status: int = 200) -> HttpResponse:
    recent = list(runs.own_runs(user)[:SHOWN])
    context = {
        "runs": recent,
        "unfinished": [run for run in recent if run.finished_at is None],
        "limit": LARGEST_UPLOAD,
        "error": error,
    }
    return render(request, "conversations/transfer.html", context, status=status)


def _begin(request: HttpRequest, user: User) -> str:
    file = request.FILES.get("file")
    try:
        begin_import(user, file if isinstance(file, UploadedFile) else None)
    except Refusal as refusal:
        return refusal.message
    messages.success(request, _("The file has arrived."))
    return ""


urlpatterns = [path("import/", transfer, name="transfer")]
