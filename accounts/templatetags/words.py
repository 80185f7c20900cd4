"""The words of the page's scripts, in the language that is spoken."""

from functools import cache

from django import template
from django.conf import settings
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation.trans_real import DjangoTranslation
from django.views.i18n import JavaScriptCatalog

register = template.Library()


@register.simple_tag
def words_of_scripts() -> SafeString:
    """A block of JSON that `words.js` reads; it is data, so no policy has to allow it. Nothing where it is English."""
    return _words(get_language() or settings.LANGUAGE_CODE)


@cache
def _words(language: str) -> SafeString:
    view = JavaScriptCatalog()
    view.translation = DjangoTranslation(
        language, domain="djangojs", localedirs=[str(path) for path in settings.LOCALE_PATHS]
    )
    catalog = view.get_catalog()
    return json_script(catalog, "words") if catalog else SafeString("")
