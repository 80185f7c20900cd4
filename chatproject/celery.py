"""The Celery application: `celery -A chatproject worker`, `celery -A chatproject beat`."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")

# Its own shows a message before it is written.
TRANSPORT_ALIASES["filesystem"] = "chatproject.folder_broker:Transport"
app = Celery("chatproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
