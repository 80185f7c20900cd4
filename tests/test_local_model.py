"""The real model behind every door: no key, no internet, held by bytes, measured by its own count."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import User
from billing.models import UsageRecord
from tests.doors import DOORS
from tests.people import Person
from tests.services import LocalModel, Web

pytestmark = pytest.mark.once("embedded")

QUESTION = "Say hello in Ελληνικά and 日本語 😀."


@pytest.fixture
def owner(start_web: Callable[..., Web], local_model: LocalModel, alice: User) -> Person:
    call_command("sync_prices", stdout=StringIO())
    web = start_web(
        OPENAI_BASE_URL=local_model.base_url,
        CHAT_MODEL_FAST=LocalModel.MODEL,
        CHAT_MODEL_SMART=LocalModel.MODEL,
        CHAT_MAX_OUTPUT_TOKENS="24",
    )
    return Person(web, alice)


def test_it_answers_by_every_door(owner: Person) -> None:
    for kind in DOORS.values():
        conversation = owner.new_conversation(system_prompt="Be brief.")
        with kind(owner, conversation) as door:
            for content in (QUESTION, "And again?"):
                outcome = door.send(content)
                assert outcome.code == "complete", outcome.error
                assert outcome.text == owner.reply(conversation)["content"] != ""
                assert outcome.message["model"] == LocalModel.MODEL
                assert outcome.usage["estimated"] is False
                assert 0 < outcome.usage["output_tokens"] <= 24
                record = UsageRecord.objects.latest("pk")
                assert (record.measured, record.state, record.over_hold) == ("provider", "settled", False)
                assert 0 < record.input_tokens <= record.input_bound
                assert Decimal(0) < Decimal(outcome.usage["cost_usd"])
                assert record.cost <= record.hold
    conversation = owner.new_conversation()
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": QUESTION}) as stream:
        message_id = stream.until(lambda seen: seen.text).started["message"]["id"]
        assert owner.stop(message_id).json()["status"] in ("stopped", "complete")
        assert stream.rest[-1]["type"] == "done"
    assert UsageRecord.objects.filter(state="settled").count() == 7
    call_command("rollup_spend", stdout=StringIO())
    call_command("audit_ledger", stdout=StringIO())
