"""Every setting that the environment may give, with its type, bounds and default.

A value that does not fit stops the start with a sentence that names the variable.
"""

import os
import re
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured
from kombu.transport import TRANSPORT_ALIASES
from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from conversations import keys

BASE_DIR = Path(__file__).resolve().parent.parent


def _rate(value: str) -> str:
    # No counter is kept, and no window is counted, for longer than its store has numbers for.
    if not re.fullmatch(r"[1-9][0-9]{0,8}/([1-9][0-9]{0,4})?[smhd]", value):
        raise ValueError("must be a count and a period such as 15/m (s, m, h or d)")
    return value


def _folder(value: Path) -> Path:
    try:
        value.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"must be a folder, or one that can be made ({error.strerror})") from None
    return value


def _file(value: str) -> str:
    # Empty, here as below: it is not set.
    if value and not (Path(value).is_file() and os.access(value, os.R_OK)):
        raise ValueError("must be a file that is there and can be read")
    return value


def _key_file(value: str) -> str:
    if _file(value):
        keys.in_file(value)
    return value


def _scheme(address: str) -> str:
    """What an address begins with; empty where it is none, or its port is no number."""
    try:
        place = urlsplit(address)
        _ = place.port
    except ValueError:  # its own words would repeat a part of it, which may be of a password
        return ""
    return place.scheme if "://" in address else ""


def _redis(value: str) -> str:
    if value and _scheme(value) not in ("redis", "rediss", "unix"):
        raise ValueError("must be a Redis server's address such as redis://host:6379/0")
    place = urlsplit(value)
    numbers = [*parse_qs(place.query).get("db", []), *([] if place.scheme == "unix" else [place.path.strip("/")])]
    if not all(number.isdecimal() for number in numbers if number):
        raise ValueError("must name its database by a number, as redis://host:6379/0 does")
    return value


def _broker(value: str) -> str:
    for address in value.split(";") if value else ():
        scheme, found, _ = address.partition("://")
        if not found or scheme.partition("+")[0] not in TRANSPORT_ALIASES:
            raise ValueError("must be a broker's address that Celery knows, such as redis://host:6379/0")
        if scheme in ("redis", "rediss"):
            _redis(address)
    return value


def _site(value: str) -> str:
    if _scheme(value) not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError("must be an address such as https://api.openai.com/v1")
    return value


def _origins(value: str) -> str:
    for origin in _listed(value):
        if not (_scheme(origin) and re.fullmatch(r"https?://[^/?#]+", origin)):
            raise ValueError("must be origins such as https://chat.example.com or https://*.example.com, by commas")
    return value


def _time_zone(value: str) -> str:
    if value not in zoneinfo.available_timezones():
        raise ValueError("must be a time zone's name such as Europe/Berlin")
    return value


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


# `repr=False`: a password may be part of it, so no sentence shows it.
RedisAddress = Annotated[str, AfterValidator(_redis), Field(repr=False)]
BrokerAddress = Annotated[str, AfterValidator(_broker), Field(repr=False)]
Rate = Annotated[str, AfterValidator(_rate)]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=9)]


class Environment(BaseSettings):
    """The environment's variables; each is optional."""

    model_config = SettingsConfigDict(case_sensitive=True, env_ignore_empty=True, extra="ignore")

    VAR_DIR: Annotated[Path, AfterValidator(_folder)] = BASE_DIR / "var"
    DATABASE_URL: str = ""
    DATABASE_POOLER: bool = False
    REDIS_URL: RedisAddress = ""
    CELERY_BROKER_URL: BrokerAddress = ""
    SECRET_KEY: str = ""
    SECRET_KEY_FALLBACKS: Annotated[str, NoDecode] = ""
    ALLOWED_HOSTS: Annotated[str, NoDecode] = "localhost,127.0.0.1,[::1]"
    CSRF_TRUSTED_ORIGINS: Annotated[str, NoDecode, AfterValidator(_origins)] = ""
    DEBUG: bool = False
    HTTPS: bool = False
    SIGN_UP: bool = True
    ADMINISTRATOR_EMAIL: str = "it-help@example.com"
    EMAIL_HOST: str = ""
    EMAIL_PORT: int = Field(25, ge=1, le=65_535)
    EMAIL_HOST_USER: str = ""
    EMAIL_HOST_PASSWORD: str = ""
    EMAIL_USE_TLS: bool = False
    DEFAULT_FROM_EMAIL: str = "chat@localhost"
    TRUSTED_PROXIES: int = Field(0, ge=0, le=8)

    OPENAI_API_KEY: Annotated[str, AfterValidator(keys.checked), Field(repr=False)] = ""
    OPENAI_API_KEY_FILE: Annotated[str, AfterValidator(_key_file)] = ""
    OPENAI_BASE_URL: Annotated[str, AfterValidator(_site)] = "https://api.openai.com/v1"

    CHAT_MODEL_FAST: str = "gpt-4o-mini"
    CHAT_MODEL_SMART: str = "gpt-4o"
    CHAT_PROMPT_TOKENS: int = Field(4000, ge=64, le=10_000_000)
    CHAT_MAX_OUTPUT_TOKENS: int = Field(1000, ge=1, le=1_000_000)
    CHAT_TEMPERATURE: float = Field(0.7, ge=0, le=2)
    CHAT_RATE: Rate = "15/m"
    CHAT_RATE_SMART: Rate = "5/m"
    CHAT_RATE_IP: Rate = "60/m"
    CHAT_RATE_QUOTE: Rate = "240/m"
    CHAT_REPLIES_AT_ONCE: int = Field(3, ge=1, le=1000)
    CHAT_PROVIDER_TIMEOUT: float = Field(30, gt=0, le=3600)
    CHAT_PROVIDER_RETRIES: int = Field(3, ge=0, le=10)
    CHAT_TITLES: bool = True
    CHAT_LEASE_SECONDS: float = Field(15, ge=1, le=300)
    CHAT_DRAIN_SECONDS: float = Field(25, ge=0, le=3600)
    CHAT_DATABASE_THREADS: int = Field(8, ge=1, le=200)

    BILLING_TIME_ZONE: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    BILLING_DAILY_BUDGET_USD: Dollars = Decimal("1.00")
    BILLING_MONTHLY_BUDGET_USD: Dollars = Decimal("10.00")
    BILLING_EVERYONE_DAILY_BUDGET_USD: Dollars = Decimal("50.00")
    BILLING_ACCOUNT_ID: str = Field("company", max_length=200)
    BILLING_ACCOUNT_NAME: str = Field("Company", max_length=200)

    @property
    def database_url(self) -> str:
        """The database's address; without one, an SQLite file."""
        return self.DATABASE_URL or f"sqlite:///{self.VAR_DIR / 'chat.sqlite3'}"

    @property
    def secret_key_fallbacks(self) -> list[str]:
        """Earlier secret keys, the newest first."""
        return _listed(self.SECRET_KEY_FALLBACKS)

    @property
    def allowed_hosts(self) -> list[str]:
        """Host names that the site answers to."""
        return _listed(self.ALLOWED_HOSTS)

    @property
    def trusted_origins(self) -> list[str]:
        """Origins, with their scheme, from which forms are accepted beside the site's own."""
        return _listed(self.CSRF_TRUSTED_ORIGINS)


def read() -> Environment:
    """Read the environment; raise ImproperlyConfigured with a sentence per bad variable."""
    try:
        return Environment()
    except ValidationError as error:
        raise ImproperlyConfigured(" ".join(map(_sentence, error.errors()))) from None


def _sentence(problem: ErrorDetails) -> str:
    name = str(problem["loc"][0])
    shown = repr(problem["input"]) if Environment.model_fields[name].repr else "…"
    return f"{name} is {shown}: {problem['msg'].removeprefix('Value error, ')}."
