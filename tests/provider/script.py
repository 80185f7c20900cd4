"""What one reply of the scripted provider does."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

# What goes wrong, as opposed to what is said and how fast: left out once `fail_times` attempts have failed.
_FAULTS = (
    "status",
    "html",
    "delay_headers",
    "cut_after",
    "stall_after",
    "hold_after",
    "error_event_after",
    "broken_json_after",
    "usage_chunk",
    "done",
    "finish",
    "fail_times",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """One reply. All fields are optional, all times are in seconds, and all are JSON values.

    Every place in a reply is said as "after n deltas": 0 is after the headers and before the first
    delta; n at or past the number of deltas is after the last one and before the closing chunks.

    **What is said** (the first of these that is given)
    - `deltas`: exactly these pieces. One may hold half a surrogate pair, as some servers send.
    - `text`: this text, a word a delta, or `delta_size` characters a delta.
    - `delta_count`: so many deltas of pseudo-random words from `seed`, a word a delta, or exactly
      `delta_size` characters each.
    - none: an echo of the last user message's first 60 characters, in some ten deltas.

    The request's output cap is obeyed (unless `ignore_cap`): at the cap generation ends with
    `finish_reason` "length". Tokens are counted by the model's own vocabulary over the whole text.

    **Pace**
    - `delay_headers`: before anything is answered, refusals included. It stands for a queue:
      nothing is generated in it and nothing billed.
    - `delay_first`: between headers and first delta; `delay_between`: between deltas, kept to an
      absolute schedule so that it does not drift. Without streaming the body comes after all of them.

    **Bytes** (streams)
    - `split_at`: each frame is cut at these offsets (negative: from its end), `split_every`: every
      so many bytes, `split_utf8`: inside every multi-byte character. Each piece is a chunk and a
      write of its own, `split_pause` apart.
    - `frames_per_write`: so many frames leave in one write.
    - `newline`: the line end, LF, CRLF or CR. `data_space`: whether "data:" is followed by a space.
    - `comments`: a comment line before each frame. `escape_unicode`: `\\uXXXX` for all but ASCII.

    **Faults**
    - `status`: 400 and up is refused with OpenAI's error object; what it says by default depends on
      the status; `error_code`, `error_type`, `error_param` and `error_message` change it. A known
      `error_code` (such as "insufficient_quota", "content_policy_violation",
      "unsupported_parameter", "context_length_exceeded") brings its own type and message.
    - `retry_after`: the Retry-After header; `headers`: more headers, on every answer.
    - `refuse_parameters`: a request that carries one of these is refused with 400
      "unsupported_parameter"; sent again without it, it gets this script's reply.
    - `html`: a page of HTML with `status`, in place of an answer (also with 200, while streaming).
    - `fail_times`: only the first n attempts of a request have the faults (status, html,
      delay_headers, cuts, stalls, holds, error event, broken JSON, missing chunks); then it is
      answered well. Without it every attempt fails. See `choice.py` for what is an attempt.
    - `cut_after` with `cut`: "end" closes the body properly but too early, "close" closes the
      connection in the middle of the body, "reset" sends RST. `cut_after=-1`: before the headers.
    - `stall_after` with `stall_seconds`: silence, then it goes on. `hold_after`: silence until
      `provider.release()`.
    - `error_event_after`: an error event (with `error_code` and so on), and the stream ends.
    - `broken_json_after`: a chunk whose JSON is broken; without streaming the body is broken.
    - `empty_choices_after`: a chunk with `choices: []`, as Azure sends.
    - `role_chunk`: the first chunk, role only. `usage_chunk`, `done`, `finish`: whether the usage
      (asked for with `include_usage`), `[DONE]` and the `finish_reason` are sent.

    **Ending and usage**
    - `finish_reason`: "stop", "content_filter" or any other, unless the cap made it "length".
    - `cached_tokens`: input tokens read from the cache (at most all), billed as such.
      `reasoning_tokens`: output tokens thought and not said: part of the cap, billed from the
      start of generation. `hidden_input_tokens`: billed as input beyond what the messages hold.
    - `usage_extra`: merged over the true usage object (one level into its details): more token
      classes, or false values. `usage_replace`: any JSON value sent in its place. The bill stays true.
    """

    text: str | None = None
    deltas: tuple[str, ...] | None = None
    delta_count: int | None = None
    delta_size: int | None = None
    seed: int = 0
    ignore_cap: bool = False

    delay_headers: float = 0
    delay_first: float = 0
    delay_between: float = 0

    split_at: tuple[int, ...] = ()
    split_every: int | None = None
    split_utf8: bool = False
    split_pause: float = 0.001
    frames_per_write: int = 1
    newline: Literal["\n", "\r\n", "\r"] = "\n"
    data_space: bool = True
    comments: bool = False
    escape_unicode: bool = False

    status: int = 200
    error_code: str | None = None
    error_type: str | None = None
    error_param: str | None = None
    error_message: str | None = None
    retry_after: str | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    refuse_parameters: tuple[str, ...] = ()
    html: bool = False
    fail_times: int | None = None

    cut_after: int | None = None
    cut: Literal["end", "close", "reset"] = "close"
    stall_after: int | None = None
    stall_seconds: float = 60
    hold_after: int | None = None
    error_event_after: int | None = None
    broken_json_after: int | None = None
    empty_choices_after: int | None = None
    role_chunk: bool = True
    usage_chunk: bool = True
    done: bool = True
    finish: bool = True

    finish_reason: str = "stop"
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    hidden_input_tokens: int = 0
    usage_extra: dict[str, Any] | None = None
    usage_replace: Any = None

    @classmethod
    def from_json(cls, value: object) -> Script:
        """A script from its JSON object; ValueError where a field is unknown or it is no object."""
        if not isinstance(value, dict):
            raise ValueError("a script is a JSON object")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(value) - known:
            raise ValueError(f"a script has no field {', '.join(sorted(unknown))}")
        fields: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Its JSON object: only the fields that differ from the default."""
        plain = Script()
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(plain, name)}

    def directive(self) -> str:
        """The words which, anywhere in a user's message, make this script answer it."""
        return f"{{{{script: {json.dumps(self.to_json())}}}}}"

    def without_faults(self) -> Script:
        """The same reply, answered well."""
        plain = Script()
        return dataclasses.replace(self, **{name: getattr(plain, name) for name in _FAULTS})
