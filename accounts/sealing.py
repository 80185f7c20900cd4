"""Secrets that must be read again, such as a second factor's, as they lie in the database: sealed.

The key follows from SECRET_KEY, so whoever has a copy of the database alone can make no codes. Under a new
SECRET_KEY, what was sealed under one of SECRET_KEY_FALLBACKS still opens, and is sealed anew when its
person signs in next.
"""

from __future__ import annotations

import base64

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction

from accounts.models import User

MARK = "sealed:"  # before what is sealed; without it stands what was kept as it is, before there was sealing


def seal(text: str) -> str:
    """The text, sealed under the newest key."""
    return MARK + _keys().encrypt(text.encode()).decode()


def unseal(kept: str) -> str:
    """What was sealed, or was kept as it is. Raises InvalidToken where no key opens it."""
    if not kept.startswith(MARK):
        return kept
    return _keys().decrypt(kept.removeprefix(MARK)).decode()


def seal_anew(user: User) -> None:
    """Seal a user's second factors under the newest key, where they are not; what no key opens stays as it is."""
    if not Authenticator.objects.filter(user=user).exclude(type=Authenticator.Type.WEBAUTHN).exists():
        return
    with transaction.atomic():  # a recovery code may be used up meanwhile
        for factor in Authenticator.objects.select_for_update().filter(user=user).order_by("pk"):
            for name in {"secret", "seed"} & factor.data.keys():
                if not _is_newest(factor.data[name]):
                    factor.data[name] = seal(unseal(factor.data[name]))
                    factor.save(update_fields=["data"])


def _is_newest(kept: str) -> bool:
    """Whether it lies under the newest key, or under one that is gone."""
    if not kept.startswith(MARK):
        return False
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    opens = [secret for secret in keys if _opens(secret, kept)]
    return not opens or opens[0] == settings.SECRET_KEY


def _opens(secret: str, kept: str) -> bool:
    try:
        Fernet(_key(secret)).decrypt(kept.removeprefix(MARK))
    except InvalidToken:
        return False
    return True


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(_key(secret)) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _key(secret: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"accounts.sealing").derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
