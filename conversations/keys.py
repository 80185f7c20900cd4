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
            return in_file(settings.OPENAI_API_KEY_FILE)
        except (OSError, ValueError):
            logger.error("OPENAI_API_KEY_FILE holds no key that can be read")
    return str(settings.OPENAI_API_KEY)


def in_file(name: str) -> str:
    """The key in a file, which may be empty. Raises OSError, or ValueError as `checked`."""
    try:
        return checked(Path(name).read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("must be a text file with one key") from None


def checked(key: str) -> str:
    """The key without what stands around it. Raises ValueError where no header could hold it; it says no part of it."""
    key = key.strip()
    if not re.fullmatch("[!-~]*", key):
        raise ValueError("must be one key, without spaces and of ASCII alone")
    return key


def fingerprint() -> str:
    """The first 12 hex digits of the key's SHA-256: tells keys apart, gives none away."""
    return hashlib.sha256(current().encode()).hexdigest()[:12]
