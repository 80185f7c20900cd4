"""The provider: a streamed call, and how it can fail. The only importer of `openai`."""

from conversations.provider.calls import Departure, Request, Stream, stream
from conversations.provider.failures import (
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

__all__ = [
    "Departure",
    "ProviderBusy",
    "ProviderError",
    "ProviderRejected",
    "ProviderTimeout",
    "ProviderUnavailable",
    "Request",
    "Stream",
    "stream",
]
