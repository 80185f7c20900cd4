"""Addresses of the WebSocket door."""

from typing import Any

from django.urls import path

from conversations.consumers import ConversationConsumer

_door: Any = ConversationConsumer.as_asgi()  # Django's types know of views only

urlpatterns = [path("ws/conversations/<uuid:conversation_id>/", _door)]
