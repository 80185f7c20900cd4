"""How the provider refuses: OpenAI's error object."""

from __future__ import annotations

from typing import Any

from tests.provider.script import Script

# By status: type, code, message.
_BY_STATUS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request could not be understood."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("request_forbidden", "unsupported_country_region_territory", "Country, region, or territory not supported"),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    408: ("timeout", None, "The request took too long to arrive."),
    409: ("conflict_error", None, "The resource was changed by another request."),
    413: ("invalid_request_error", None, "The request is too large."),
    422: ("invalid_request_error", None, "The request could not be processed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request."),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
    504: ("server_error", None, "Gateway timeout."),
}
# By code: type, message.
_BY_CODE = {
    "insufficient_quota": ("insufficient_quota", "You exceeded your current quota, please check your plan."),
    "content_policy_violation": ("invalid_request_error", "The request was rejected as a result of our safety system."),
    "unsupported_parameter": ("invalid_request_error", "Unsupported parameter: it is not supported with this model."),
    "unsupported_value": ("invalid_request_error", "Unsupported value: it is not supported with this model."),
    "context_length_exceeded": ("invalid_request_error", "This model's maximum context length was exceeded."),
}


class Refusal(Exception):
    """A request that is refused: an HTTP status and what the error object says."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        code: str | None = None,
        kind: str | None = None,
        param: str | None = None,
    ) -> None:
        kind_by_status, code_by_status, text = _BY_STATUS.get(status, ("server_error", None, "Something went wrong."))
        code = code or code_by_status
        kind_by_code, text = _BY_CODE.get(code or "", (kind_by_status, text))
        super().__init__(message or text)
        self.status = status
        self.error: dict[str, Any] = {
            "message": message or text,
            "type": kind or kind_by_code,
            "param": param,
            "code": code,
        }

    @classmethod
    def scripted(cls, script: Script, status: int) -> Refusal:
        """The refusal, or the error in mid-stream, that a script asks for."""
        return cls(
            status,
            script.error_message,
            code=script.error_code,
            kind=script.error_type,
            param=script.error_param,
        )

    @classmethod
    def unsupported(cls, name: str, instead: str = "") -> Refusal:
        """A parameter that the model does not take."""
        message = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
        return cls(400, message, code="unsupported_parameter", param=name)
