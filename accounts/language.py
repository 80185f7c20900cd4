"""In which language a person is spoken to.

A page speaks the language that was chosen in its browser, else the one that the browser asks for; a program's
answers the one in its `Accept-Language`. What reaches a person elsewhere, such as a mail, speaks the language
that they chose, else the one that their browser asked for when they last signed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation

from accounts.models import User


def asked_for(*, cookies: Mapping[str, str], accept: str) -> str:
    """The language of whoever sends these cookies and this `Accept-Language`."""
    request = HttpRequest()
    request.COOKIES = dict(cookies)
    request.META["HTTP_ACCEPT_LANGUAGE"] = accept
    return translation.get_language_from_request(request)


def next_on(request: HttpRequest, chosen: str) -> str:
    """The language of the next page in a browser, once this was chosen there."""
    return chosen or asked_for(cookies={}, accept=request.headers.get("Accept-Language", ""))


def of(user: User) -> str:
    """The language for what reaches a user elsewhere than on a page."""
    return user.language or user.browser_language or settings.LANGUAGE_CODE


def speaking_to(user: User | None) -> AbstractContextManager[None]:
    """Speak a user's language; without one, the site's."""
    return translation.override(settings.LANGUAGE_CODE if user is None else of(user))


def choose(user: User, language: str, response: HttpResponseBase) -> None:
    """Keep a choice, in the account and in this browser; empty: as the browser asks."""
    User.objects.filter(pk=user.pk, is_active=True).update(language=language)
    _keep(response, language)


def signed_in(user: User, response: HttpResponseBase) -> None:
    """Bring the account's choice to a browser, and note what the browser asks for."""
    spoken = translation.get_language() or ""
    if user.browser_language != spoken:
        User.objects.filter(pk=user.pk, is_active=True).update(browser_language=spoken)
    if user.language:
        _keep(response, user.language)


def keep_up(user: User, request: HttpRequest, response: HttpResponseBase) -> None:
    """Bring along what was chosen on another device since this browser signed in."""
    name = settings.LANGUAGE_COOKIE_NAME
    is_chosen_now = name in response.cookies  # and the user was read before that
    if user.language and request.COOKIES.get(name) != user.language and not is_chosen_now:
        _keep(response, user.language)


def _keep(response: HttpResponseBase, language: str) -> None:
    name = settings.LANGUAGE_COOKIE_NAME
    if not language:
        response.delete_cookie(name, samesite="Lax")
        return
    response.set_cookie(
        name,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )
