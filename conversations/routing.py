"""Addresses of the WebSocket door."""

from typing import Any

from django.urls import path

from conversations.consumers import ConversationConsumer
from conversations.tabs import TabConsumer

# Django's types know of views only
_conversation: Any = ConversationConsumer.as_asgi()
_tabs: Any = TabConsumer.as_asgi()

urlpatterns = [path("ws/conversations/<uuid:conversation_id>/", _conversation), path("ws/me/", _tabs)]
