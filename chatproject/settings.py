"""Django's settings: wiring only. What an operator may choose is in `environment.py`."""

import os
import secrets
import tempfile
import zoneinfo
from contextlib import suppress
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from chatproject import beat, environment, stores

BASE_DIR = environment.BASE_DIR
env = environment.read()
VAR_DIR = env.VAR_DIR


def _secret_key() -> str:
    """The environment's key, or one made at the first start and kept beside the database."""
    if env.SECRET_KEY:
        return env.SECRET_KEY
    file = VAR_DIR / "secret_key"
    try:
        if not file.exists():
            with tempfile.NamedTemporaryFile("w", dir=VAR_DIR) as draft:  # readable by its owner alone
                draft.write(secrets.token_urlsafe(64))
                draft.flush()
                with suppress(FileExistsError):  # of several processes that start at once, one names the key
                    os.link(draft.name, file)
        return file.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"VAR_DIR is {str(VAR_DIR)!r}: no secret key can be kept there ({error.strerror})."
        ) from None


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = env.secret_key_fallbacks
DEBUG = env.DEBUG
# Whether a browser may send its subdomains over plain HTTP, and ask for preloading, is not ours to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
# These are asked by address, and without TLS.
FOR_OPERATORS = ["/healthz", "/readyz", "/metrics"]
if env.HTTPS:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [f"^{path[1:]}$" for path in FOR_OPERATORS]
    SECURE_HSTS_SECONDS = 31_536_000
    if env.TRUSTED_PROXIES:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
ALLOWED_HOSTS = env.allowed_hosts
CSRF_TRUSTED_ORIGINS = env.trusted_origins

INSTALLED_APPS = [
    "daphne",
    "accounts",
    "billing",
    "conversations",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "accounts.middleware.RequestIdMiddleware",
    "accounts.middleware.NoNulMiddleware",
    "accounts.middleware.BodyLimitMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "accounts.middleware.HostMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.middleware.SessionUserMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.session_seen",
]

ROOT_URLCONF = "chatproject.urls"
ASGI_APPLICATION = "chatproject.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": stores.database(env.database_url, threads=env.CHAT_DATABASE_THREADS, pooler=env.DATABASE_POOLER)
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.REDIS_URL
CACHES, CHANNEL_LAYERS = stores.cache_and_layer(REDIS_URL)
if not REDIS_URL:
    # django-ratelimit asks for a cache that processes share; here there is one process.
    SILENCED_SYSTEM_CHECKS += ["django_ratelimit.E003", "django_ratelimit.W001"]

# People and their sessions
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # before another e-mail address may reset the password
MFA_ADAPTER = "accounts.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Company chat"
MFA_TOTP_TOLERANCE = 1  # a clock may be half a minute off
SIGN_UP_OPEN = env.SIGN_UP
ADMINISTRATOR_EMAIL = env.ADMINISTRATOR_EMAIL
EMAIL_BACKEND = "billing.outbox.EmailBackend"  # keeps a mail until a worker hands it to the next one
MAIL_SENDER = "billing.mail_server.EmailBackend" if env.EMAIL_HOST else "django.core.mail.backends.console.EmailBackend"
EMAIL_HOST, EMAIL_PORT, EMAIL_USE_TLS = env.EMAIL_HOST, env.EMAIL_PORT, env.EMAIL_USE_TLS
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = env.EMAIL_HOST_USER, env.EMAIL_HOST_PASSWORD
EMAIL_TIMEOUT = 20  # seconds
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.DEFAULT_FROM_EMAIL

# The browser is told to trust nothing but this site
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
# Addresses that take files; the rest of the body's form is beside the file's own limit.
UPLOAD_LIMITS = {"/import/": 104_923_136, "/api/imports/": 104_923_136, "/reports/reconcile/": 33_554_432}

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "chatproject.static_files.StaticFilesStorage"},
}
SERVESTATIC_USE_FINDERS = DEBUG

# Each language is named in itself, for whoever reads no other.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "chatproject.formats"
LANGUAGE_COOKIE_AGE = 31_536_000  # seconds
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = env.HTTPS
USE_TZ = True
TIME_ZONE = "UTC"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "accounts.errors.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Company chat",
    "DESCRIPTION": "Chat over the OpenAI API in which every call is held, metered, settled and shown.",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
}

# The provider and the road
OPENAI_API_KEY = env.OPENAI_API_KEY
OPENAI_API_KEY_FILE = env.OPENAI_API_KEY_FILE
OPENAI_BASE_URL = env.OPENAI_BASE_URL
CHAT_MODELS = {"fast": env.CHAT_MODEL_FAST, "smart": env.CHAT_MODEL_SMART}
CHAT_PROMPT_TOKENS = env.CHAT_PROMPT_TOKENS
CHAT_MAX_OUTPUT_TOKENS = env.CHAT_MAX_OUTPUT_TOKENS
CHAT_TEMPERATURE = env.CHAT_TEMPERATURE
CHAT_RATE = env.CHAT_RATE
CHAT_RATE_SMART = env.CHAT_RATE_SMART
CHAT_RATE_IP = env.CHAT_RATE_IP
CHAT_RATE_QUOTE = env.CHAT_RATE_QUOTE
CHAT_REPLIES_AT_ONCE = env.CHAT_REPLIES_AT_ONCE
CHAT_PROVIDER_TIMEOUT = env.CHAT_PROVIDER_TIMEOUT
CHAT_PROVIDER_RETRIES = env.CHAT_PROVIDER_RETRIES
CHAT_TITLES = env.CHAT_TITLES
CHAT_LEASE_SECONDS = env.CHAT_LEASE_SECONDS
CHAT_DRAIN_SECONDS = env.CHAT_DRAIN_SECONDS
CHAT_DATABASE_THREADS = env.CHAT_DATABASE_THREADS
TRUSTED_PROXIES = env.TRUSTED_PROXIES

# Money
BILLING_TIME_ZONE = zoneinfo.ZoneInfo(env.BILLING_TIME_ZONE)
BILLING_DAILY_BUDGET_USD = env.BILLING_DAILY_BUDGET_USD
BILLING_MONTHLY_BUDGET_USD = env.BILLING_MONTHLY_BUDGET_USD
BILLING_EVERYONE_DAILY_BUDGET_USD = env.BILLING_EVERYONE_DAILY_BUDGET_USD
BILLING_ACCOUNT_ID = env.BILLING_ACCOUNT_ID
BILLING_ACCOUNT_NAME = env.BILLING_ACCOUNT_NAME

FOLDER = "filesystem://localhost"  # Celery warns of one without a host
CELERY_BROKER_URL = env.CELERY_BROKER_URL or (stores.broker(REDIS_URL) if REDIS_URL else FOLDER)
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
if CELERY_BROKER_URL.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = stores.folder_broker(VAR_DIR / "broker")
elif CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = stores.PATIENT_BROKER
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = beat.SCHEDULE
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # seconds it may sleep: only then it sees that it is to end

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Their INFO lines carry addresses of requests; our own lines say what an operator needs.
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "fido2": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
    },
}
