"""Settings, addresses and processes: wiring only, no logic."""

from chatproject.celery import app as celery_app

__all__ = ["celery_app"]
