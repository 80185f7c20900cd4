"""How templates write money: what one may pay or has spent rounds up, what is left rounds down."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import money

register = template.Library()

CENT_PLACES = 2
CHAT_PLACES = 5  # a short answer costs some hundredths of a cent
ALL_PLACES = 9


@register.filter
def price(nano: int) -> str:
    """Nano-dollars with the 5 decimals of the chat, rounded up: `$0.00032`."""
    return money.shown(nano, places=CHAT_PLACES, up=True)


@register.filter
def spent(nano: int) -> str:
    """Nano-dollars in cents, rounded up: `$0.42`."""
    return money.shown(nano, places=CENT_PLACES, up=True)


@register.filter
def left(nano: int) -> str:
    """Nano-dollars in cents, rounded down: `$0.57`."""
    return money.shown(nano, places=CENT_PLACES, up=False)


@register.filter
def exact(nano: int) -> SafeString:
    """All nine decimals of an amount, those after the cent softer; nothing is rounded."""
    text = money.shown(nano, places=ALL_PLACES, up=True)
    cut = text.index(".") + 1 + CENT_PLACES
    return format_html('{}<span class="nano">{}</span>', text[:cut], text[cut:])


@register.filter
def dollars(nano: int) -> str:
    """The plain decimal string of the API, for `data-` attributes: `0.00032`."""
    return money.to_json(nano)


@register.filter
def left5(nano: int) -> str:
    """Nano-dollars with the 5 decimals of the chat, rounded down: what is left, precisely."""
    return money.shown(nano, places=CHAT_PLACES, up=False)


@register.filter
def exact_text(nano: int) -> str:
    """All nine decimals of an amount as plain text."""
    return money.shown(nano, places=ALL_PLACES, up=True)


@register.filter
def axis(nano: int) -> str:
    """A chart's round amounts: in cents, finer only where cents would not tell them apart."""
    text = money.shown(nano, places=ALL_PLACES, up=True).rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(CENT_PLACES, '0')}"
