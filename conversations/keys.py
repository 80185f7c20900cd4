"""The provider's key."""

import hashlib
import logging
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)


def current() -> str:
    """The key as it is now: the file is read anew, so that rotation needs no restart."""
    if settings.OPENAI_API_KEY_FILE:
        try:
            return Path(settings.OPENAI_API_KEY_FILE).read_text().strip()
        except OSError:
            logger.error("OPENAI_API_KEY_FILE cannot be read")
    return str(settings.OPENAI_API_KEY)


def fingerprint() -> str:
    """The first 12 hex digits of the key's SHA-256: tells keys apart, gives none away."""
    return hashlib.sha256(current().encode()).hexdigest()[:12]
