"""Nano-dollars as people read and type them: dollars."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import money

TITLES = {
    "amount": _("amount, $"),
    "cached_input_price": _("cached input price, $"),
    "cache_write_price": _("cache write price, $"),
    "cost": _("cost, $"),
    "held": _("held, $"),
    "hold": _("hold, $"),
    "input_price": _("input price, $"),
    "limit": _("limit, $"),
    "output_price": _("output price, $"),
    "spent": _("spent, $"),
}


def column(name: str) -> Callable[[Any], str]:
    """A field of nano-dollars as a column, or a read-only field, in dollars; sorted like the field."""

    @admin.display(description=TITLES[name], ordering=name)
    def shown(row: Any) -> str:
        nano = getattr(row, name)
        return (gettext("default") if name == "limit" else "–") if nano is None else money.to_json(nano)

    return shown


class DollarsField(forms.DecimalField):
    """Dollars to type, nano-dollars to keep."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                "min_value": 0,
                "max_value": money.LARGEST // money.NANO_PER_DOLLAR,
                "max_digits": 19,
                "decimal_places": 9,
                **kwargs,
            }
        )

    def prepare_value(self, value: Any) -> Any:
        """What the box shows: dollars for a kept value, what was typed otherwise."""
        return money.to_json(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        """Nano-dollars, or None where the box is empty."""
        dollars: Decimal | None = super().clean(value)
        return None if dollars is None else money.to_nano(dollars)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether another amount was typed, however it is written."""
        try:
            return bool(initial != self.clean(data))
        except ValidationError:
            return True
