"""How a call to the provider can fail, as a person and a program are told. `provider` translates the SDK's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from accounts.errors import Refusal

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class ProviderError(Refusal):
    """The provider did not answer the call. `billed`: it may have begun to work on it all the same."""

    code: ClassVar[str] = "provider_error"
    status: ClassVar[int] = 502

    def __init__(
        self, message: str | _StrPromise, *, billed: bool = True, request_id: str = "", **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.billed = billed
        self.request_id = request_id


class ProviderBusy(ProviderError):
    """It is over a rate limit of its own."""

    code, status = "provider_busy", 429


class ProviderRejected(ProviderError):
    """It refused the request: its content policy, or a parameter."""

    code, status = "provider_rejected", 400


class ProviderUnavailable(ProviderError):
    """Its key was refused, or it cannot be reached."""

    code, status = "provider_unavailable", 503


class ProviderTimeout(ProviderError):
    """It stayed silent for too long."""

    code, status = "provider_timeout", 504
