"""The scripted provider's answers and refusals, as the official SDK sees them, and the bill that it keeps."""

import dataclasses
import hashlib
import json
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.provider import Script, ScriptedProvider
from tests.provider.client import QUESTION_TOKENS, ask, only_row, stream, streamed, with_client

pytestmark = pytest.mark.once("embedded")

# What it says, and what that costs


def test_stream_with_usage_agrees_with_the_bill(provider: ScriptedProvider) -> None:
    seen = stream(provider, Script(text="One two three four"))
    row = only_row(provider)
    assert seen["deltas"] == ["One", " two", " three", " four"]
    assert seen["finish"] == "stop"
    assert (seen["usage"].prompt_tokens, seen["usage"].completion_tokens) == (QUESTION_TOKENS, 4)
    assert (row.input_tokens, row.output_tokens, row.outcome, row.status) == (QUESTION_TOKENS, 4, "complete", 200)
    assert row.cost == provider.bill.total == Decimal("0.00000375")  # 9 at $0.15 and 4 at $0.60 a million
    assert row.sha256 == hashlib.sha256(b"One two three four").hexdigest()
    assert provider.bill.generated_text(row.request_id) == "One two three four"


def test_usage_comes_only_where_it_is_asked_for(provider: ScriptedProvider) -> None:
    assert stream(provider, stream_options=None)["usage"] is None
    assert stream(provider, Script(usage_chunk=False))["usage"] is None


def test_whole_answer(provider: ScriptedProvider) -> None:
    answer = with_client(provider, ask())
    assert answer.choices[0].message.content == "You said: Hello there … and this is a short answer to it."
    assert answer.usage.completion_tokens == only_row(provider).output_tokens
    assert answer._request_id == only_row(provider).request_id


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_generation_ends_at_the_cap(provider: ScriptedProvider, name: str) -> None:
    seen = stream(provider, Script(delta_count=50), **{name: 7})
    assert len(seen["deltas"]) == 7
    assert seen["finish"] == "length"
    assert seen["usage"].completion_tokens == 7


def test_the_cap_is_met_exactly(provider: ScriptedProvider) -> None:
    script = Script(deltas=(" one", " two", " three"))
    assert stream(provider, script, max_tokens=3)["finish"] == "stop"
    assert stream(provider, script, max_tokens=2)["finish"] == "length"
    assert stream(provider, dataclasses.replace(script, ignore_cap=True), max_tokens=2)["usage"].completion_tokens == 3
    assert stream(provider, dataclasses.replace(script, reasoning_tokens=2), max_tokens=3)["deltas"] == [" one"]


def test_a_cap_inside_a_character_bills_the_token_and_sends_whole_characters(provider: ScriptedProvider) -> None:
    seen = stream(provider, Script(text="𓀀𓀀𓀀"), max_tokens=2)
    assert seen["finish"] == "length"
    assert only_row(provider).output_tokens == 2
    assert "".join(seen["deltas"]) in ("", "𓀀")


def test_random_text_is_the_same_every_time(provider: ScriptedProvider) -> None:
    seen = [stream(provider, Script(delta_count=20, delta_size=7, seed=seed))["deltas"] for seed in (1, 1, 2)]
    assert seen[0] == seen[1] != seen[2]
    assert [len(delta) for delta in seen[0]] == [7] * 20


def test_cached_reasoning_and_hidden_tokens_are_billed(provider: ScriptedProvider) -> None:
    script = Script(text="Yes", cached_tokens=5, reasoning_tokens=10, hidden_input_tokens=100)
    usage = stream(provider, script, model="gpt-4o-2024-08-06")["usage"]
    assert (usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens) == (5, 10)
    assert (usage.prompt_tokens, usage.completion_tokens) == (109, 11)
    assert only_row(provider).cost == Decimal("0.00037625")  # 104 at $2.50, 5 at $1.25, 11 at $10 a million


def test_false_usage_leaves_the_bill_true(provider: ScriptedProvider) -> None:
    extra = {"completion_tokens": -7, "prompt_tokens_details": {"cache_write_tokens": 3}}
    usage = stream(provider, Script(text="Yes", usage_extra=extra))["usage"]
    assert usage.completion_tokens == -7
    assert usage.prompt_tokens_details.cache_write_tokens == 3
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert only_row(provider).output_tokens == 1


def test_the_models_are_listed(provider: ScriptedProvider) -> None:
    models = with_client(provider, lambda client: client.models.list())
    assert [model.id for model in models.data] == ["gpt-4o-mini", "gpt-4o"]


# Which script


def test_enqueued_before_the_message_before_the_default(provider: ScriptedProvider) -> None:
    provider.set_default(Script(text="default"))
    messages = [{"role": "user", "content": f"Please {Script(text='mine', deltas=('di', 'rective')).directive()}!"}]
    provider.enqueue(Script(text="first"), Script(text="second"))
    texts = ["".join(stream(provider, messages=messages)["deltas"]) for _ in range(3)]
    assert [*texts, "".join(stream(provider)["deltas"])] == ["first", "second", "directive", "default"]


def test_a_script_survives_json() -> None:
    script = Script(deltas=("a", "ü"), split_at=(3, -1), headers={"x-one": "1"}, cut_after=0)
    assert Script.from_json(json.loads(json.dumps(script.to_json()))) == script
    with pytest.raises(ValueError, match="no field wrong"):
        Script.from_json({"wrong": 1})


# Refusals and retries


@pytest.mark.parametrize(
    ("script", "error", "code"),
    [
        (Script(status=400, error_code="content_policy_violation"), openai.BadRequestError, "content_policy_violation"),
        (Script(status=401), openai.AuthenticationError, "invalid_api_key"),
        (Script(status=403), openai.PermissionDeniedError, "unsupported_country_region_territory"),
        (Script(status=404), openai.NotFoundError, "model_not_found"),
        (Script(status=408), openai.APIStatusError, None),
        (Script(status=409), openai.ConflictError, None),
        (Script(status=413), openai.APIStatusError, None),
        (Script(status=422), openai.UnprocessableEntityError, None),
        (Script(status=429, retry_after="7"), openai.RateLimitError, "rate_limit_exceeded"),
        (Script(status=429, error_code="insufficient_quota"), openai.RateLimitError, "insufficient_quota"),
        (Script(status=500), openai.InternalServerError, None),
        (Script(status=503), openai.InternalServerError, None),
    ],
)
def test_refusal(
    provider: ScriptedProvider, script: Script, error: type[openai.APIStatusError], code: str | None
) -> None:
    with pytest.raises(error) as raised:
        stream(provider, script)
    row = only_row(provider)
    assert raised.value.status_code == script.status
    assert raised.value.code == code
    assert raised.value.response.headers.get("retry-after") == script.retry_after
    assert raised.value.request_id == row.request_id
    assert row.outcome == "refused"
    assert row.cost == 0
    assert row.status == script.status


def test_the_sdk_retries_until_the_failures_are_used_up(provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="Here", status=429, retry_after="0.01", fail_times=2), Script(text="Another"))
    seen = with_client(provider, streamed, max_retries=3)
    assert seen["deltas"] == ["Here"]
    assert [(row.attempt, row.status) for row in provider.wait_idle().rows] == [(0, 429), (1, 429), (2, 200)]
    assert stream(provider)["deltas"] == ["Another"]


def test_a_parameter_is_refused_until_it_is_left_out(provider: ScriptedProvider) -> None:
    provider.enqueue(Script(text="Fine", refuse_parameters=("temperature",)), Script(text="Another"))
    with pytest.raises(openai.BadRequestError) as raised:
        with_client(provider, ask(temperature=0.5))
    assert (raised.value.code, raised.value.param) == ("unsupported_parameter", "temperature")
    assert with_client(provider, ask()).choices[0].message.content == "Fine"


@pytest.mark.parametrize("options", [{"max_tokens": 5}, {"temperature": 0.5}])
def test_reasoning_models_are_particular(provider: ScriptedProvider, options: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        with_client(provider, ask(model="o4-mini", **options))
    assert raised.value.param in options
    assert with_client(provider, ask(model="o4-mini", max_completion_tokens=2)).usage.completion_tokens == 2


def test_an_unknown_key_is_refused() -> None:
    with ScriptedProvider(keys=["sk-other"]) as provider, pytest.raises(openai.AuthenticationError):
        with_client(provider, ask())
