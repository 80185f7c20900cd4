"""Which price holds, by which name, and what becomes of tokens that a price does not know."""

import json
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.errors import InvalidRequest
from accounts.models import User
from billing import bounds, catalogue, ledger, notices, offers, prices, pricing
from billing.audit import Audit
from billing.models import Act, ModelAlias, Notice, Price, UsageRecord
from conversations import usage
from tests import road
from tests.calls import NOON, dollars, hold, make_price
from tests.mail import MailServer
from tests.provider import Script, ScriptedProvider
from tests.provider.client import only_row
from tests.talks import make_conversation

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=1)


def in_force(model: str, now: datetime = NOON) -> Price:
    return prices.in_force(model=model, now=now)


def test_a_dated_name_costs_what_its_model_costs() -> None:
    prices.sync(now=NOON)
    assert not Price.objects.filter(model="gpt-4o-mini-2024-07-18").exists()
    assert in_force("gpt-4o-mini-2024-07-18") == in_force("gpt-4o-mini")
    resolved = prices.resolve(models=["gpt-4o-mini-2024-07-18", "gpt-4o", "nameless"])
    assert resolved == {"gpt-4o-mini-2024-07-18": "gpt-4o-mini", "gpt-4o": "gpt-4o", "nameless": "nameless"}
    offered = offers.offers(models=["gpt-4o-mini", "gpt-4o-mini-2024-07-18"], now=NOON)
    assert len({offer.short_question for offer in offered.values()}) == 1


def test_a_dated_version_with_a_price_of_its_own_is_no_alias() -> None:
    prices.sync(now=NOON)
    assert in_force("gpt-4o-2024-05-13").input_price == dollars("5")
    assert in_force("gpt-4o").input_price == dollars("2.5")


def test_every_alias_leads_to_a_price() -> None:
    listed = catalogue.read(now=NOON)
    assert set(listed.aliases.values()) <= set(listed.entries)
    assert not set(listed.aliases) & set(listed.entries)


def test_a_price_for_the_very_name_goes_before_the_models() -> None:
    ModelAlias.objects.create(alias="test-2026-01-01", model="test-model")
    make_price(source="catalogue")
    mine = make_price(model="test-2026-01-01", source="catalogue", input_price=7)
    assert in_force("test-2026-01-01") == mine


def test_a_model_is_no_alias_of_itself() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelAlias.objects.create(alias="a", model="a")


def test_a_negotiated_price_goes_first_from_its_instant_on_whatever_is_published_later() -> None:
    listed = make_price(source="catalogue")
    mine = make_price(effective_from=LATER, input_price=7)
    newer = make_price(source="catalogue", effective_from=LATER + timedelta(hours=1), input_price=9)
    same_instant = make_price(source="catalogue", effective_from=LATER, input_price=8)
    assert in_force("test-model", LATER - timedelta(microseconds=1)) == listed
    assert in_force("test-model", LATER) == mine
    assert in_force("test-model", newer.effective_from) == mine
    assert same_instant != mine


def test_a_list_price_that_changes_is_still_kept_beside_a_negotiated_one() -> None:
    prices.sync(now=NOON)
    Price.objects.filter(model="gpt-4o").update(output_price=dollars("9"))
    mine = make_price(model="gpt-4o", effective_from=LATER, input_price=7)
    new = prices.sync(now=LATER + timedelta(hours=1))
    assert [(price.model, price.output_price) for price in new] == [("gpt-4o", dollars("10"))]
    assert in_force("gpt-4o", LATER + timedelta(days=9)) == mine


def test_the_output_cap_is_never_above_the_models_own(alice: User) -> None:
    price = make_price(output_limit=100)
    record = hold(user=alice, price=price, output_cap=500)
    assert (record.output_cap, record.hold) == (100, dollars("0.0012"))
    call = bounds.Call(user=alice, feature="chat", price=price, input_tokens=1000, output_cap=500)
    assert bounds.bound(call=call, now=NOON).most == record.hold
    small = make_price(model="small", output_limit=10)
    assert hold(user=alice, price=small).output_cap == 10, "shorter than useful, but all that it can"


def test_an_unpriced_model_is_refused_and_staff_are_mailed_once_a_day(
    staff: User, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    for now in (NOON, NOON, NOON + timedelta(days=1)):
        with pytest.raises(prices.UnpricedModel) as refused:
            in_force("nameless", now)
        assert "has no price yet" in refused.value.message
        notices.send_due(clock=lambda now=now: now)
    with pytest.raises(prices.UnpricedModel):
        in_force("another")
    notices.send_due(clock=lambda: NOON)
    assert [mail.subject for mail in mail_server.mails] == [
        "The model nameless has no price", "The model nameless has no price", "The model another has no price",
    ]  # fmt: skip
    assert {mail.to[0] for mail in mail_server.mails} == {staff.email}
    assert caplog.text.count("the model nameless has no price") == 3


# Negotiated prices, in the admin


def form(**fields: Any) -> dict[str, Any]:
    begins = timezone.now() + timedelta(hours=1)
    return {
        "model": "gpt-4o", "effective_from_0": f"{begins:%Y-%m-%d}", "effective_from_1": f"{begins:%H:%M:%S}",
        "source": "negotiated", "input_price": "2", "cached_input_price": "1", "cache_write_price": "2",
        "output_price": "8", "extra_rates": "{}", "tokenizer": "o200k_base", "context_window": "128000",
        "output_limit": "", "takes_temperature": "on",
    } | fields  # fmt: skip


@pytest.fixture
def office(staff: User, client: Client) -> Client:
    client.force_login(staff)
    return client


def test_staff_add_a_negotiated_price_which_is_in_the_trail(office: Client, staff: User) -> None:
    prices.sync(now=NOON)
    answer = office.post(reverse("admin:billing_price_add"), form(extra_rates='{"input.audio": 40000000000}'))
    assert answer.status_code == 302, answer.content
    now = timezone.now()
    assert in_force("gpt-4o", now).source == "catalogue"
    mine = in_force("gpt-4o-2024-08-06", now + timedelta(hours=2))
    assert (mine.source, mine.output_price, mine.extra_rates) == (
        "negotiated",
        dollars("8"),
        {"input.audio": 4 * 10**10},
    )
    act = Act.objects.get(kind="price")
    assert (act.by, act.by_name) == (staff, staff.email)
    assert act.before == "input $2.50, cached input $1.25, cache write $2.50, output $10.00 per million tokens"
    assert act.after.startswith("input $2.00, cached input $1.00, cache write $2.00, output $8.00, input.audio $40.00")


def test_a_price_cannot_begin_in_the_past_but_for_a_models_first(office: Client, staff: User) -> None:
    make_price(model="gpt-4o")
    past = {"effective_from_0": "2026-01-01", "effective_from_1": "00:00"}
    answer = office.post(reverse("admin:billing_price_add"), form(**past))
    assert "A price can&#x27;t begin in the past" in answer.content.decode()
    with pytest.raises(InvalidRequest):
        prices.add(price=Price(model="gpt-4o", effective_from=NOON), by=staff, now=LATER)
    assert Price.objects.count() == 1
    assert not Act.objects.exists()
    assert office.post(reverse("admin:billing_price_add"), form(model="new", **past)).status_code == 302


@pytest.mark.parametrize(
    "rates",
    ["[1]", *(f'{{"input.audio": {rate}}}' for rate in ("-1", "1.5", '"dear"', "true", "1e400", 10**18 + 1, "9" * 60))],
)
def test_a_rate_that_is_no_rate_is_refused(office: Client, rates: str) -> None:
    answer = office.post(reverse("admin:billing_price_add"), form(extra_rates=rates))
    assert "Whole numbers by token class" in answer.content.decode()
    assert not Price.objects.exists()


@pytest.mark.parametrize("name", ["other.video", "audio", "input", "input.", "inputs.audio", ""])
def test_a_rate_of_a_class_that_no_hold_covers_is_refused(
    office: Client, staff: User, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rates = {"input.audio": 1, name: 5 * 10**9}
    answer = unescape(
        office.post(reverse("admin:billing_price_add"), form(extra_rates=json.dumps(rates))).content.decode()
    )
    assert (
        f"“{name}” is no class of tokens that a hold covers: its name must begin with “input.” or “output.”." in answer
    )
    (entry,) = catalogue.DEMO.values()
    with pytest.raises(InvalidRequest, match="no class of tokens") as refused:
        prices.add(
            price=Price(model="new", effective_from=NOON, **asdict(replace(entry, extra_rates=rates))),
            by=staff,
            now=NOON,
        )
    assert list(refused.value.details["fields"]) == ["extra_rates"]
    monkeypatch.setattr(catalogue, "DEMO", {"new": replace(entry, extra_rates=rates)})
    with pytest.raises(InvalidRequest, match="no class of tokens"):
        prices.sync(now=NOON)
    assert not Price.objects.exists()
    assert not Act.objects.exists()


def test_aliases_are_added_and_taken_away_and_in_the_trail(office: Client) -> None:
    make_price(model="gpt-4o")
    office.post(reverse("admin:billing_modelalias_add"), {"alias": "gpt-4o-2027-01-01", "model": "gpt-4o"})
    assert in_force("gpt-4o-2027-01-01").model == "gpt-4o"
    alias = ModelAlias.objects.get()
    office.post(reverse("admin:billing_modelalias_delete", args=[alias.pk]), {"post": "yes"})
    assert not ModelAlias.objects.exists()
    assert list(Act.objects.order_by("pk").values_list("before", "after")) == [
        ("", "gpt-4o-2027-01-01 is gpt-4o"), ("gpt-4o-2027-01-01 is gpt-4o", ""),
    ]  # fmt: skip


# Token classes that have no column


USAGE: dict[str, Any] = {
    "prompt_tokens": 1000,
    "completion_tokens": 400,
    "total_tokens": 1400,
    "prompt_tokens_details": {"cached_tokens": 100, "audio_tokens": 200, "text_tokens": 800},
    "completion_tokens_details": {
        "reasoning_tokens": 10, "audio_tokens": 50, "accepted_prediction_tokens": 5, "rejected_prediction_tokens": 7,
    },
}  # fmt: skip


def settle_with(record: UsageRecord, told: dict[str, Any]) -> UsageRecord:
    tokens = usage.measured(told)
    assert tokens is not None
    return ledger.settle(
        record=record, tokens=tokens, outcome="complete", measured="provider", usage=told, provider_request_id="",
        now=NOON,
    )  # fmt: skip


def test_classes_that_came_since_are_read_out_of_the_providers_usage() -> None:
    tokens = usage.measured(
        {
            **USAGE,
            "video_tokens": 3,
            "cost": 0.5,
            "prompt_tokens_details": {
                "cached_tokens": 100, "image_tokens": 9, "audio_tokens": 0, "cache": None,
                "cached_tokens_details": {"audio_tokens": 4, "text_tokens": 96},
            },
        }
    )  # fmt: skip
    assert tokens is not None
    assert tokens.extra == {"input.image": 9, "input.cached.audio": 4, "output.audio": 50, "other.video": 3}
    plain = usage.measured({"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6})
    assert plain == pricing.Tokens(input=5, output=1)


def test_a_class_with_a_rate_is_charged_at_it(alice: User) -> None:
    price = make_price(extra_rates={"input.audio": dollars("40"), "output.audio": dollars("80")})
    record = hold(user=alice, price=price)
    assert record.hold == dollars("0.08"), "the dearest that each token can be"
    settle_with(record, USAGE)
    # 700 × $1 + 100 × $0.10 + 200 × $40 + 350 × $2 + 50 × $80, per million
    assert record.cost == dollars("0.01341")
    stored = UsageRecord.objects.get()
    assert stored.extra_tokens == {"input.audio": 200, "output.audio": 50}
    assert (stored.unpriced_classes, stored.usage) == ("", USAGE)
    assert not Notice.objects.exists()
    assert list(Audit().differences()) == []


def test_a_class_without_a_rate_is_kept_charged_as_plain_flagged_and_told(
    alice: User, staff: User, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    price = make_price()
    for _ in range(2):
        settle_with(hold(user=alice, price=price), USAGE)
    stored = UsageRecord.objects.latest("pk")
    assert stored.cost == dollars("0.00171")  # 900 × $1 + 100 × $0.10 + 400 × $2, per million
    assert stored.extra_tokens == {"input.audio": 200, "output.audio": 50}
    assert stored.unpriced_classes == "input.audio, output.audio"
    notices.send_due(clock=lambda: NOON)
    (mail,) = mail_server.mails
    assert mail.to == [staff.email]
    assert mail.subject == "test-model used tokens that its price has no rate for: input.audio, output.audio"
    assert caplog.text.count("has tokens without a rate") == 2
    assert list(Audit().differences()) == []


def test_of_many_classes_without_a_rate_staff_are_told_each_day(alice: User) -> None:
    price = make_price()
    classes = {f"{'a_long_name_of_a_class_'}{number}_tokens": 1 for number in range(20)}
    for day in (0, 1, 1):
        record = hold(user=alice, price=price, now=NOON + timedelta(days=day))
        settle_with(record, {**USAGE, "prompt_tokens_details": classes})
    assert Notice.objects.count() == 2


def test_the_audit_finds_a_class_that_is_lost_or_not_flagged(alice: User) -> None:
    settle_with(hold(user=alice, price=make_price(extra_rates={"input.audio": dollars("40")})), USAGE)
    UsageRecord.objects.update(unpriced_classes="")
    assert "names nothing as without a rate" in "\n".join(Audit().differences())
    UsageRecord.objects.update(unpriced_classes="output.audio", extra_tokens=None)
    text = "\n".join(Audit().differences())
    assert "but its tokens at price" in text
    assert "names output.audio as without a rate" in text


@pytest.mark.django_db(transaction=True)
def test_a_pinned_version_is_called_by_its_name_and_charged_as_its_model(
    alice: User, settings: Any, provider: ScriptedProvider, prices: object
) -> None:
    settings.OPENAI_BASE_URL = provider.base_url
    settings.CHAT_MODELS = {"fast": "gpt-4o-mini-2024-07-18", "smart": "gpt-4o"}
    ModelAlias.objects.create(alias="gpt-4o-mini-2024-07-18", model="gpt-4o-mini")
    provider.enqueue(Script(delta_count=3))
    message, _ = road.whole(road.ask(make_conversation(alice)))
    row = only_row(provider)
    assert row.model == "gpt-4o-mini-2024-07-18"
    assert (message.model, message.usage_record.model) == ("gpt-4o-mini", "gpt-4o-mini")
    assert message.usage_record.cost == road.nano(row)
