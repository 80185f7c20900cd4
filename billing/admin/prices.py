"""Prices: staff may add one, nobody changes or deletes one, since records name them."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.big_tables import BigTableAdmin, ReadOnlyAdmin
from accounts.contested import ContestedAdmin
from accounts.errors import InvalidRequest
from accounts.models import User
from billing import acts, money, prices
from billing.admin.dollars import DollarsField, column
from billing.models import Act, ModelAlias, Price

PER_MILLION = gettext_lazy("Dollars per million tokens.")


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A negotiated price, in force from an instant on."""

    input_price = DollarsField(label=gettext_lazy("Input price"), help_text=PER_MILLION)
    cached_input_price = DollarsField(label=gettext_lazy("Cached input price"), help_text=PER_MILLION)
    cache_write_price = DollarsField(
        label=gettext_lazy("Cache write price"),
        help_text=gettext_lazy("Dollars per million tokens. The input price, where writing costs nothing extra."),
    )
    output_price = DollarsField(
        label=gettext_lazy("Output price"), help_text=gettext_lazy("Dollars per million tokens. Reasoning is output.")
    )

    class Meta:
        model = Price
        fields = (
            "model", "effective_from", "source", "input_price", "cached_input_price", "cache_write_price",
            "output_price", "extra_rates", "tokenizer", "context_window", "output_limit", "takes_temperature",
        )  # fmt: skip

    def clean_extra_rates(self) -> dict[str, int]:
        """Rates by class, in nano-dollars per million tokens."""
        rates = self.cleaned_data["extra_rates"] or {}
        if not isinstance(rates, dict) or not all(
            type(rate) is int and 0 <= rate <= money.LARGEST for rate in rates.values()
        ):
            raise forms.ValidationError(
                _(
                    "Whole numbers by token class, in nano-dollars and of at most a billion dollars, "
                    'such as {"input.audio": 10000000000}.'
                )
            )
        try:
            prices.check_rates(rates)
        except InvalidRequest as refusal:
            raise forms.ValidationError(refusal.message) from refusal
        return rates

    def clean(self) -> dict[str, Any]:
        """A price begins now or later, but for a model that has none yet."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "model" in cleaned and "effective_from" in cleaned:
            try:
                prices.check_begin(
                    model=cleaned["model"], effective_from=cleaned["effective_from"], now=timezone.now()
                )  # fmt: skip
            except InvalidRequest as refusal:
                self.add_error("effective_from", refusal.message)
        return cleaned


@admin.register(Price)
class PriceAdmin(ContestedAdmin, ReadOnlyAdmin):
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

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """Add it, with an entry in the trail."""
        prices.add(price=obj, by=cast(User, request.user), now=timezone.now())


@admin.register(ModelAlias)
class ModelAliasAdmin(ContestedAdmin, BigTableAdmin):
    """Other names of models, which cost what the models cost."""

    list_display = ("alias", "model")
    search_fields = ("alias", "model")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: take it away and add another."""
        return False

    def save_model(self, request: HttpRequest, obj: ModelAlias, form: Any, change: bool) -> None:
        """Add it, with an entry in the trail."""
        super().save_model(request, obj, form, change)
        self._write_down(request, obj, before="", after=_said(obj))

    def delete_model(self, request: HttpRequest, obj: ModelAlias) -> None:
        """Take it away, with an entry in the trail; the name has no price then, unless it has one of its own."""
        self._write_down(request, obj, before=_said(obj), after="")
        super().delete_model(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """None: they are taken away one by one, so that each is in the trail."""
        return {}

    def _write_down(self, request: HttpRequest, obj: ModelAlias, *, before: str, after: str) -> None:
        acts.record(
            kind=Act.Kind.ALIAS, by=cast(User, request.user), now=timezone.now(), subject=obj.alias, before=before,
            after=after,
        )  # fmt: skip


def _said(alias: ModelAlias) -> str:
    with translation.override("en"):  # the trail is in one language, whoever writes in it
        return str(alias)
