"""Prices: staff may add one, nobody changes or deletes one, since records name them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from accounts.big_tables import ReadOnlyAdmin
from billing.admin.dollars import DollarsField, column
from billing.models import Price

PER_MILLION = "Dollars per million tokens."


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A negotiated price, in force from an instant on."""

    input_price = DollarsField(help_text=PER_MILLION)
    cached_input_price = DollarsField(help_text=PER_MILLION)
    cache_write_price = DollarsField(help_text=f"{PER_MILLION} The input price, where writing costs nothing extra.")
    output_price = DollarsField(help_text=f"{PER_MILLION} Reasoning is output.")

    class Meta:
        model = Price
        fields = (
            "model", "effective_from", "source", "input_price", "cached_input_price", "cache_write_price",
            "output_price", "tokenizer", "context_window", "takes_temperature",
        )  # fmt: skip


@admin.register(Price)
class PriceAdmin(ReadOnlyAdmin):
    """The price list and its history."""

    form = PriceForm
    list_display = (
        "model", "effective_from", "source", column("input_price"), column("cached_input_price"),
        column("output_price"), "context_window", "tokenizer",
    )  # fmt: skip
    list_filter = ("source", "tokenizer")
    search_fields = ("model",)
    date_hierarchy = "effective_from"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Those with the permission: a change of price is a new row."""
        return request.user.has_perm("billing.add_price")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What staff add is negotiated, as a rule."""
        return {
            "source": Price.Source.NEGOTIATED,
            "tokenizer": "o200k_base",
            **super().get_changeform_initial_data(request),
        }

    def get_fields(self, request: HttpRequest, obj: Price | None = None) -> list[Any]:
        """Dollars to read as well as to type."""
        names = list(PriceForm.Meta.fields)
        if obj is None:
            return names
        return [column(name) if name.endswith("_price") else name for name in names]

    def get_readonly_fields(self, request: HttpRequest, obj: Price | None = None) -> list[Any]:
        """Everything, once it is there."""
        return [] if obj is None else self.get_fields(request, obj)
