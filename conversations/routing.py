"""Addresses of the WebSocket door."""

from typing import Any

from django.urls import path, re_path

from conversations.consumers import ConversationConsumer
from conversations.tabs import TabConsumer

# Django's types know of views only
_conversation: Any = ConversationConsumer.as_asgi()
_tabs: Any = TabConsumer.as_asgi()


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    """Where there is no socket: the handshake is refused. Without this, each one would be an error in the log."""
    await receive()
    await send({"type": "websocket.close"})


_nowhere: Any = nowhere
urlpatterns = [
    path("ws/conversations/<id:conversation_id>/", _conversation),
    path("ws/me/", _tabs),
    re_path("", _nowhere),
]
