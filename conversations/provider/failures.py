"""How a call to the provider can fail, as a person and a program are told; and which of these an SDK's error is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import httpx2
import openai
from django.utils.translation import gettext_lazy as _

from accounts.errors import Refusal
from conversations import keys
from conversations.provider.chunks import BrokenOff

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

logger = logging.getLogger(__name__)

RETRY_AFTER = 5  # seconds, where a busy provider names none
LONGEST_REQUEST_ID = 200  # characters, as it is stored


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


@contextmanager
def translated(request_id: str) -> Iterator[None]:
    """Errors of the SDK, of its connections and of what came over them, as ProviderError."""
    try:
        yield
    except BrokenOff:
        logger.warning("provider error in mid-stream, request %s", request_id)
        raise ProviderError(_("The provider broke off its answer. Try again."), request_id=request_id) from None
    except (httpx2.TransportError, httpx2.StreamError, openai.OpenAIError) as error:
        raise _translate(error, request_id) from error
    except (ValueError, TypeError, AttributeError) as error:  # JSON that is none, or not of the known form
        raise _translate(error, request_id) from error


def _translate(error: Exception, request_id: str) -> ProviderError:
    """Any failure of a call as ours, which names its code and status; logged with the provider's request id."""
    if isinstance(error, openai.APIStatusError):
        request_id = request_id_of(error.response.headers)
        logger.warning("provider answered %s (%s), request %s", error.status_code, error.code, request_id)
        return _of_status(error, request_id)
    logger.warning("provider call failed: %s, request %s", type(error).__name__, request_id)
    silent = (openai.APITimeoutError, httpx2.TimeoutException)
    unreached = isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout))
    if unreached:
        return ProviderUnavailable(_("The provider cannot be reached. Try again in a minute."), billed=False)
    if isinstance(error, silent):
        return ProviderTimeout(_("The provider did not answer in time. Try again."), request_id=request_id)
    if isinstance(error, openai.APIConnectionError):
        return ProviderUnavailable(_("The connection to the provider broke. Try again."), request_id=request_id)
    return ProviderError(_("The provider's answer was broken off or not readable. Try again."), request_id=request_id)


def _of_status(error: openai.APIStatusError, request_id: str) -> ProviderError:
    said: dict[str, Any] = {"billed": False, "request_id": request_id}
    if error.status_code in (401, 403, 404) or error.code == "insufficient_quota":
        logger.error("the provider refused the key %s, the model, or credit", keys.fingerprint())
        return ProviderUnavailable(
            _("The provider refuses to work for this site. The administrators must look."), **said
        )
    match error.status_code:
        case 408:
            return ProviderTimeout(_("The provider did not answer in time. Try again."), **said)
        case 429:
            return ProviderBusy(
                _("The provider is busy. Try again in a moment."), retry_after=_retry_after(error.response), **said
            )
        case status if status >= 500:
            return ProviderError(_("The provider has a fault of its own. Try again in a minute."), **said)
    if error.code == "content_policy_violation" or error.code == "content_filter":
        return ProviderRejected(
            _("The provider's content policy refused this message. Change it and send it again."), **said
        )
    return ProviderRejected(_("The provider refused this message as it stands. Change it and send it again."), **said)


def _retry_after(response: httpx2.Response) -> int:
    try:
        return max(1, min(3600, round(float(response.headers.get("retry-after", RETRY_AFTER)))))
    except (ValueError, OverflowError):
        return RETRY_AFTER


def request_id_of(headers: httpx2.Headers) -> str:
    """By what the provider knows the call."""
    return str(headers.get("x-request-id", ""))[:LONGEST_REQUEST_ID]
