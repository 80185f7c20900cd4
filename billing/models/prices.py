"""What models cost, from an instant on, and the other names that they go by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.statements import Statement, columns, loaded, run


class PriceQuerySet(models.QuerySet["Price"]):
    """Prices."""

    def in_force(self, *, model: str, at: datetime) -> Price | None:
        """The price of a model, by any of its names, that holds at an instant; None where it has none."""
        return Price.in_rows(run(Price.in_force_statement(model=model, at=at))[0].rows)

    def in_force_of(self, *, names: Iterable[str], at: datetime) -> dict[str, Price]:
        """The prices that hold at an instant, by the names asked for; a name without one is left out."""
        found = {name: self.in_force(model=name, at=at) for name in set(names)}
        return {name: price for name, price in found.items() if price is not None}


class Price(models.Model):
    """What a model costs from an instant on, and what it takes. Never edited: a change is a new row."""

    class Source(models.TextChoices):
        CATALOGUE = "catalogue", _("published list price")
        DEMO = "demo", _("demo price, nobody is charged it")
        NEGOTIATED = "negotiated", _("negotiated price")

    model = models.CharField(_("model"), max_length=100)
    effective_from = models.DateTimeField(_("effective from"))
    source = models.CharField(_("source"), max_length=12, choices=Source)
    input_price = models.PositiveBigIntegerField(
        _("input price"), help_text=_("Nano-dollars per million input tokens.")
    )
    cached_input_price = models.PositiveBigIntegerField(
        _("cached input price"), help_text=_("Nano-dollars per million cached input tokens.")
    )
    cache_write_price = models.PositiveBigIntegerField(
        _("cache write price"), help_text=_("Nano-dollars per million tokens written to a cache.")
    )
    output_price = models.PositiveBigIntegerField(
        _("output price"), help_text=_("Nano-dollars per million output tokens, reasoning included.")
    )
    extra_rates = models.JSONField(
        _("extra rates"),
        default=dict,
        blank=True,
        help_text=_("Nano-dollars per million tokens of a class that is priced apart, such as input.audio."),
    )
    tokenizer = models.CharField(
        _("tokenizer"), max_length=30, help_text=_("o200k_base, cl100k_base, or bytes where it is not known.")
    )
    context_window = models.PositiveIntegerField(
        _("context window"), help_text=_("Tokens, prompt and answer together.")
    )
    output_limit = models.PositiveIntegerField(
        _("output limit"),
        null=True,
        blank=True,
        help_text=_("Tokens that an answer can have at most; empty: not known."),
    )
    takes_temperature = models.BooleanField(_("takes temperature"), default=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    objects = PriceQuerySet.as_manager()

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ["model", "-effective_from"]
        constraints = [
            models.UniqueConstraint(fields=["model", "source", "effective_from"], name="price_once_per_instant"),
            models.CheckConstraint(
                condition=Q(output_limit=None) | Q(output_limit__gt=0), name="price_output_limit_positive"
            ),
        ]

    def __str__(self) -> str:
        return gettext("%(model)s from %(start)s") % {"model": self.model, "start": f"{self.effective_from:%Y-%m-%d}"}

    @classmethod
    def in_force_statement(cls, *, model: str, at: datetime) -> Statement:
        """What reads the price that holds at an instant; `in_rows` takes the answer.

        A negotiated price goes before a list price; then one for the very name before one of the model
        that the name is an alias of; then the newest.
        """
        return Statement(
            f"""
SELECT {columns(cls, "price")} FROM billing_price AS price
WHERE effective_from <= %s AND (
    model = %s OR model IN (SELECT other.model FROM billing_modelalias AS other WHERE other.alias = %s)
)
ORDER BY CASE source WHEN 'negotiated' THEN 0 ELSE 1 END, CASE WHEN model = %s THEN 0 ELSE 1 END, effective_from DESC
LIMIT 1
""",  # noqa: S608
            [at, model, model, model],
        )

    @classmethod
    def in_rows(cls, rows: Sequence[Any]) -> Price | None:
        """The price that was read, where there was one."""
        return loaded(cls, rows[0]) if rows else None


class ModelAlias(models.Model):
    """Another name of a model, most often a dated one, that costs what the model costs."""

    alias = models.CharField(_("alias"), max_length=100, unique=True)
    model = models.CharField(_("model"), max_length=100, db_index=True)

    class Meta:
        verbose_name = _("model alias")
        verbose_name_plural = _("model aliases")
        ordering = ["alias"]
        constraints = [models.CheckConstraint(condition=~Q(alias=models.F("model")), name="modelalias_of_another_name")]

    def __str__(self) -> str:
        return gettext("%(alias)s is %(model)s") % {"alias": self.alias, "model": self.model}
