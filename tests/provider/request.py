"""A chat-completions request, read as strictly as OpenAI reads it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from tests.provider import tokens
from tests.provider.errors import Refusal
from tests.provider.script import Script

_DIRECTIVE = re.compile(r"\{\{script:\s*")
_REASONING_MODEL = re.compile(r"(o\d|gpt-5)")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a request asks for. `cap` is its output cap in tokens; `prompt` the last user message's words."""

    model: str
    messages: list[dict[str, Any]]
    parameters: frozenset[str]
    stream: bool
    include_usage: bool
    cap: int | None
    prompt: str
    directive: Script | None

    @property
    def fingerprint(self) -> str:
        """The same for every attempt of a call, also once a parameter has been dropped."""
        return hashlib.sha256(json.dumps([self.model, self.messages]).encode()).hexdigest()


def read(body: Any) -> ChatRequest:
    """A request from its JSON body; raises Refusal where OpenAI would refuse it."""
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "you must provide a model parameter")
    if not isinstance(messages, list) or not messages or not all(isinstance(item, dict) for item in messages):
        raise Refusal(400, "Invalid 'messages': it must be a list that is not empty.", param="messages")
    for message in messages:
        if message.get("role") not in ("system", "developer", "user", "assistant", "tool"):
            raise Refusal(400, "Invalid value for 'role'.", code="invalid_value", param="messages")
    _check_reasoning_model(model, body)
    stream = body.get("stream") is True
    options = body.get("stream_options")
    if options is not None and not stream:
        raise Refusal(400, "'stream_options' is only allowed when 'stream' is enabled.", param="stream_options")
    prompt, directive = _last_question(messages)
    return ChatRequest(
        model=model,
        messages=messages,
        parameters=frozenset(name for name, value in body.items() if value is not None),
        stream=stream,
        include_usage=bool(options and options.get("include_usage")),
        cap=_cap(body),
        prompt=prompt,
        directive=directive,
    )


def _check_reasoning_model(model: str, body: dict[str, Any]) -> None:
    if not _REASONING_MODEL.match(model):
        return
    if body.get("max_tokens") is not None:
        raise Refusal.unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if body.get("temperature") not in (None, 1):
        message = "Unsupported value: 'temperature' does not support this value with this model."
        raise Refusal(400, message, code="unsupported_value", param="temperature")


def _cap(body: dict[str, Any]) -> int | None:
    caps = {name: body[name] for name in ("max_tokens", "max_completion_tokens") if body.get(name) is not None}
    if len(caps) == 2:
        raise Refusal(400, "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    for name, value in caps.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Refusal(400, f"Invalid '{name}': it must be an integer of 1 or more.", param=name)
        return value
    return None


def _last_question(messages: list[dict[str, Any]]) -> tuple[str, Script | None]:
    """The last user message, without its directive, and the script that the directive holds."""
    questions = [message for message in messages if message["role"] == "user"]
    text = tokens.as_text(questions[-1].get("content")) if questions else ""
    start = _DIRECTIVE.search(text)
    if start is None:
        return text, None
    try:
        value, end = json.JSONDecoder().raw_decode(text, start.end())
        script = Script.from_json(value)
    except ValueError as error:
        raise Refusal(400, f"The script in the message cannot be read: {error}.") from error
    return text[: start.start()] + text[end:].lstrip().removeprefix("}}"), script
