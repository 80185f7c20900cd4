"""The account's own pages: who one is, and where one is signed in."""

from __future__ import annotations

from typing import cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import language
from accounts.errors import NotFound
from accounts.models import User
from accounts.sessions import end, places
from accounts.sessions import end_others as end_all_others


class ProfileForm(forms.Form):
    """What a person may change about themselves; the e-mail address has a page of its own."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=150,
        required=False,
        help_text=gettext_lazy("Reports of your company show it. Left empty, they show your e-mail address."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        choices=[("", gettext_lazy("As my browser asks")), *settings.LANGUAGES],
        required=False,
        help_text=gettext_lazy("Of these pages, and of mails to you. Answers come in the language of the question."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Who one is."""
    user = cast(User, request.user)
    form = ProfileForm(
        request.POST if request.method == "POST" else None, initial={"name": user.name, "language": user.language}
    )
    if request.method == "POST" and form.is_valid():
        user.rename(form.cleaned_data["name"])
        response = redirect("account_profile")
        language.choose(user, form.cleaned_data["language"], response)
        with translation.override(language.next_on(request, form.cleaned_data["language"])):
            messages.success(request, _("Your profile was saved."))
        return response
    return render(request, "account/profile.html", {"form": form}, status=400 if form.errors else 200)


@require_safe
@login_required
@never_cache
def sessions(request: HttpRequest) -> HttpResponse:
    """Where one is signed in."""
    found = places(request, cast(User, request.user))
    return render(request, "usersessions/usersession_list.html", {"places": found})


@require_POST
@login_required
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """Sign one browser out."""
    try:
        end(cast(User, request.user), session_id)
    except NotFound:
        raise Http404 from None
    messages.success(request, _("That browser was signed out."))
    return redirect("usersessions_list")


@require_POST
@login_required
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign every other browser out."""
    end_all_others(request, cast(User, request.user))
    messages.success(request, _("Every other browser was signed out. This one stays."))
    return redirect("usersessions_list")
