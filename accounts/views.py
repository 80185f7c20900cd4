"""What a person or a program sees where nothing else answers."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from accounts import errors
from accounts.requests import current_request_id


@csrf_exempt
def nothing(request: HttpRequest, rest: str) -> HttpResponse:
    """An address of the API that does not exist."""
    return errors.response(errors.NotFound())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return _answer(request, errors.InvalidRequest(_("The request cannot be read."), fields={}))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403, for pages; the API says 401."""
    return _answer(request, errors.NotAuthenticated(_("This is not allowed.")), page="403.html", status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return _answer(request, errors.NotFound())


def server_error(request: HttpRequest) -> HttpResponse:
    """500, without a word of what went wrong."""
    return _answer(request, errors.Fault(_("Something went wrong here. Try again; the administrators can look it up.")))


def _answer(
    request: HttpRequest, refusal: errors.Refusal, page: str | None = None, status: int | None = None
) -> HttpResponse:
    if errors.wants_json(request):
        return errors.response(refusal)
    context = {"request_id": current_request_id(), "sentence": refusal.message}
    return render(request, page or f"{refusal.status}.html", context, status=status or refusal.status)
