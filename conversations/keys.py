"""The provider's key."""

import hashlib
import logging
import re
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)


def current() -> str:
    """The key as it is now: the file is read anew, so that rotation needs no restart. Empty where there is none."""
    if settings.OPENAI_API_KEY_FILE:
        try:
            key = Path(settings.OPENAI_API_KEY_FILE).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            logger.error("OPENAI_API_KEY_FILE cannot be read")
        else:
            if re.fullmatch("[!-~]*", key):
                return key
            logger.error("OPENAI_API_KEY_FILE holds what is no key")  # it could not even be sent, in a header
            return ""
    return str(settings.OPENAI_API_KEY)


def fingerprint() -> str:
    """The first 12 hex digits of the key's SHA-256: tells keys apart, gives none away."""
    return hashlib.sha256(current().encode()).hexdigest()[:12]
