"""The price list: which price is in force, and how new ones come in."""

import logging
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.errors import InvalidRequest, Refusal
from accounts.models import User
from billing import acts, catalogue, money, notices, pricing, turns
from billing.catalogue import Catalogue, Entry
from billing.models import Act, ModelAlias
from billing.models import Price as Price
from billing.turns import Turn

logger = logging.getLogger(__name__)

FIRST_INSTANT = datetime(2020, 1, 1, tzinfo=UTC)  # a model's first price holds for whatever came before it


class UnpricedModel(Refusal):
    """A model without a price can't be called: nobody could say what it costs."""

    code, status = "provider_unavailable", 503


def in_force(*, model: str, now: datetime) -> Price:
    """The price at which a call is held now; raises UnpricedModel, and tells staff, where there is none.

    Staff get a mail a day and model.
    """
    return checked(Price.objects.in_force(model=model, at=now), model=model, now=now)


def checked(price: Price | None, *, model: str, now: datetime) -> Price:
    """The price that was found in force; UnpricedModel where none was, and staff are told."""
    if price is None:
        logger.error("the model %s has no price; run sync_prices, or add its price in the admin", model)
        notices.note(
            key=f"unpriced model:{model}:{now.astimezone(settings.BILLING_TIME_ZONE).date()}",
            subject=f"The model {model} has no price",
            text=f"Somebody wanted to use the model {model}. It has no price, so no call was made and nothing was "
            "charged.\n\nRun `manage.py sync_prices`, or add its price in the admin, under Prices. If the model is "
            "another name of one that has a price, add it there under Model aliases.",
            now=now,
        )
        raise UnpricedModel(
            _(
                "This model has no price yet, so it can't be called. The administrators have been told. "
                "Nothing was charged."
            )
        )
    return price


def resolve(*, models: Iterable[str]) -> dict[str, str]:
    """The models meant by names, dated ones for instance; a name that is no alias means itself."""
    names = set(models)
    aliases = dict(ModelAlias.objects.filter(alias__in=names).values_list("alias", "model"))
    return {name: aliases.get(name, name) for name in names}


def sync(*, now: datetime) -> list[Price]:
    """Bring in new and changed list prices as new rows, and aliases; returns the prices. No row is ever edited.

    A price that staff have negotiated stays in force beside the list price. Raises InvalidRequest where a rate is of
    tokens that no hold covers.
    """
    return _bring_in(catalogue.read(now=now), now=now)


@transaction.atomic
def add(*, price: Price, by: User, now: datetime) -> Price:
    """Write a price that staff give, in force from its instant on, with an entry in the trail.

    Raises InvalidRequest where that instant has passed, or a rate is of tokens that no hold covers.
    """
    check_begin(model=price.model, effective_from=price.effective_from, now=now)
    check_rates(price.extra_rates)
    before = Price.objects.in_force(model=price.model, at=now)
    price.save(force_insert=True)
    acts.record(
        kind=Act.Kind.PRICE,
        by=by,
        now=now,
        subject=_subject(price),
        before=_said(before) if before else "",
        after=_said(price),
    )
    return price


def check_begin(*, model: str, effective_from: datetime, now: datetime) -> None:
    """Raise InvalidRequest where a price would begin in the past.

    Calls were held at the price of their day, and the list must go on saying which that was. A model's
    very first price may begin whenever; a minute is granted, since people type minutes.
    """
    if effective_from < now - timedelta(minutes=1) and Price.objects.filter(model=model).exists():
        raise InvalidRequest(
            _(
                "A price can't begin in the past: calls have been charged at the one that held then. "
                "Correct single records instead."
            ),
            fields={"effective_from": [_("This instant has passed.")]},
        )


def check_rates(extra_rates: Iterable[str]) -> None:
    """Raise InvalidRequest where a rate is of a class that is part of neither side: a hold is made for these two."""
    for name in extra_rates:
        if not pricing.is_covered(name):
            sentence = _(
                "“%(name)s” is no class of tokens that a hold covers: its name must begin with “input.” or “output.”."
            ) % {"name": name}
            raise InvalidRequest(sentence, fields={"extra_rates": [sentence]})


@transaction.atomic
def _bring_in(listed: Catalogue, *, now: datetime) -> list[Price]:
    turns.take(Turn.PRICE_LIST)  # two at once would each bring in what has changed
    soon = now + timedelta(minutes=1)  # whoever had the turn before may have begun a moment later
    published = Price.objects.exclude(source=Price.Source.NEGOTIATED).filter(effective_from__lte=soon)
    latest = {price.model: price for price in published.order_by("effective_from")}
    entries = [(model, Price.Source.CATALOGUE, entry) for model, entry in sorted(listed.entries.items())]
    entries += [(model, Price.Source.DEMO, entry) for model, entry in sorted(catalogue.DEMO.items())]
    # Beside a negotiated price of before, exports say the list price of its day: a new one must not reach back to it.
    priced = set(Price.objects.values_list("model", flat=True))
    new = [
        Price(model=model, source=source, effective_from=now if model in priced else FIRST_INSTANT, **asdict(entry))
        for model, source, entry in entries
        if model not in latest or _differs(latest[model], entry)
    ]
    for price in new:
        check_rates(price.extra_rates)
    Price.objects.bulk_create(new, ignore_conflicts=True)
    ModelAlias.objects.bulk_create(
        [ModelAlias(alias=alias, model=model) for alias, model in sorted(listed.aliases.items())],
        ignore_conflicts=True,
    )
    return new


def _subject(price: Price) -> str:
    with translation.override("en"):  # the trail is in one language, whoever writes in it
        return f"{price.model} from {price.effective_from:%Y-%m-%d %H:%M %Z}, {price.get_source_display()}"


def _said(price: Price) -> str:
    amounts = {
        "input": price.input_price,
        "cached input": price.cached_input_price,
        "cache write": price.cache_write_price,
        "output": price.output_price,
        **price.extra_rates,
    }
    said = ", ".join(f"{name} ${money.to_json(nano)}" for name, nano in amounts.items())
    return f"{said} per million tokens"


def _differs(price: Price, entry: Entry) -> bool:
    return any(getattr(price, name) != value for name, value in asdict(entry).items())
