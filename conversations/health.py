"""For operators: is it up, can it reach what it needs, and what does it do."""

from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu import Connection
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 where database, cache and broker can be reached; 503, and which cannot, otherwise."""
    checks: dict[str, Callable[[], object]] = {"database": _database, "cache": _cache, "broker": _broker}
    found = {name: _works(check) for name, check in checks.items()}
    return JsonResponse(found, status=200 if all(found.values()) else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """This process's figures in Prometheus' form; no label names a person, a text or a key."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _works(check: Callable[[], object]) -> bool:
    try:
        check()
    except Exception:  # whatever goes wrong: it cannot be reached
        return False
    return True


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _cache() -> None:
    cache.get("readyz")


def _broker() -> None:
    options = getattr(settings, "CELERY_BROKER_TRANSPORT_OPTIONS", {})
    with Connection(settings.CELERY_BROKER_URL, transport_options=options, connect_timeout=2) as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
