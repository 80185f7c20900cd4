"""The page of one's personal tokens, and what each has spent."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import tokens
from accounts.errors import NotFound, Refusal
from accounts.models import User
from billing.usage import spent_by_token

FOR_EVER = ""


def spans() -> list[tuple[str, str]]:
    """For how long a token may hold, in the language that is spoken now."""
    days = [(str(days), ngettext("%d day", "%d days", days) % days) for days in tokens.DAYS]
    return [*days, (FOR_EVER, _("Until I revoke it"))]


class TokenForm(forms.Form):
    """What a new token is for, and how long it holds."""

    name = forms.CharField(
        label=gettext_lazy("What is it for?"),
        max_length=tokens.LONGEST_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    days = forms.ChoiceField(label=gettext_lazy("It holds for"), choices=spans, initial="90", required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
@reauthentication_required(allow_get=True)  # type: ignore[untyped-decorator]
def tokens_page(request: HttpRequest) -> HttpResponse:
    """The list; a form makes a token, which only the answer to it shows."""
    user, now = cast("User", request.user), timezone.now()
    form, made, secret = TokenForm(request.POST if request.method == "POST" else None), None, ""
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        try:
            made, secret = tokens.issue(
                user=user, name=form.cleaned_data["name"], days=int(days) if days else None, now=now
            )
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            form = TokenForm()
    own = tokens.own(user, now=now)
    spent = spent_by_token(token.pk for token in own)
    context: dict[str, Any] = {
        "form": form,
        "made": made,
        "secret": secret,
        "rows": [(token, token.holds(now=now), spent.get(token.pk, 0)) for token in own],
    }
    return render(request, "account/tokens.html", context, status=400 if form.errors else 200)


@require_POST
@login_required
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """The token opens nothing from now on."""
    try:
        token = tokens.revoke(user=cast("User", request.user), token_id=token_id, now=timezone.now())
    except NotFound:
        raise Http404 from None
    messages.success(
        request, _("“%(name)s” is revoked: it opens nothing any more.") % {"name": token.name or token.hint}
    )
    return redirect("account_tokens")
