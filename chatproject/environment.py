"""Every setting that the environment may give, with its type, bounds and default.

A value that does not fit stops the start with a sentence that names the variable.
"""

import re
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent


def _rate(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d*/[1-9]?\d*[smhd]", value):
        raise ValueError("must be a count and a period such as 15/m (s, m, h or d)")
    return value


def _time_zone(value: str) -> str:
    if value not in zoneinfo.available_timezones():
        raise ValueError("must be a time zone's name such as Europe/Berlin")
    return value


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


Rate = Annotated[str, AfterValidator(_rate)]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=9)]


class Environment(BaseSettings):
    """The environment's variables; each is optional."""

    model_config = SettingsConfigDict(case_sensitive=True, env_ignore_empty=True, extra="ignore")

    VAR_DIR: Path = BASE_DIR / "var"
    DATABASE_URL: str = ""
    DATABASE_POOLER: bool = False
    REDIS_URL: str = ""
    CELERY_BROKER_URL: str = ""
    SECRET_KEY: str = ""
    SECRET_KEY_FALLBACKS: Annotated[str, NoDecode] = ""
    ALLOWED_HOSTS: Annotated[str, NoDecode] = "localhost,127.0.0.1,[::1]"
    CSRF_TRUSTED_ORIGINS: Annotated[str, NoDecode] = ""
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

    OPENAI_API_KEY: str = ""
    OPENAI_API_KEY_FILE: str = ""
    OPENAI_BASE_URL: str = "https://api.openai.com/v1"

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
        sentences = [
            f"{problem['loc'][0]} is {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}."
            for problem in error.errors()
        ]
        raise ImproperlyConfigured(" ".join(sentences)) from None
